package org.sftnative.config;

import java.nio.file.Path;
import java.util.Optional;

/// What `tune show` is told, besides the study's directory.
public record TuneShowSettings(
        @Setting(doc = "print trials as CSV: a line a trial", value = "false")
        boolean csv,

        @Setting(doc = "write the study's page to a file: FILE.html")
        Optional<Path> html,

        @Setting(doc = "where the study is stored; default: study.db in its directory")
        Optional<String> storage,

        @Setting(doc = "the study's name in its storage; default: the directory's name")
        Optional<String> studyName) {}
