package org.sftnative.config;

import java.nio.file.Path;
import java.util.Optional;

/// What `download` is told.
public record DownloadSettings(
        @Setting(doc = "model on the Hub: org/name or org/name@revision", aliases = "model", required = true)
        String modelNameOrPath,

        @Setting(doc = "copy the files there, too; without it they are in the Hub's cache alone")
        Optional<Path> outputDir) {}
