package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.sftnative.InputException;

/// What `report` is told.
public record PageSettings(
        @Setting(doc = "output directories of runs; the same as OUT...", required = true)
        List<Path> runs,

        @Setting(doc = "where the page goes: FILE.html; by default OUT/report.html, of several runs comparison.html")
        Optional<Path> html,

        @Setting(doc = "write the charts as PNG files into this directory, too")
        Optional<Path> png) {
    public PageSettings {
        runs = List.copyOf(runs);
        if (html.isPresent() && !html.get().toString().matches("(?i).*\\.html?")) {
            throw new InputException(
                    "setting 'html' is " + html.get() + ", must be a file that ends in .html: --html report.html");
        }
    }
}
