package org.sftnative.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/// What this build is, from the properties that Maven filled in.
///
/// @param project version of the program
/// @param commit git commit, with `-dirty` if files were changed; `unknown` if it was built outside of git
/// @param libtorch version of libtorch
/// @param presets version of the JavaCPP presets that call it
/// @param natives which natives the build carries: `linux-x86_64`, `linux-x86_64-gpu`
public record Version(String project, String commit, String libtorch, String presets, String natives) {
    /// Reads `version.properties`.
    public static Version ofThisBuild() {
        Properties properties = new Properties();
        try (InputStream in = Version.class.getResourceAsStream("version.properties")) {
            properties.load(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String commit = properties.getProperty("commit");
        String[] pytorch = properties.getProperty("pytorch").split("-", 2);
        return new Version(
                properties.getProperty("project"),
                commit.matches("[0-9a-f]{7,40}(-dirty)?") ? commit : "unknown",
                pytorch[0],
                pytorch[1],
                properties.getProperty("natives"));
    }

    /// The lines of `--version`.
    @Override
    public String toString() {
        return "sft-native %s (commit %s)%nlibtorch %s (JavaCPP presets %s, %s)%nJava %s%n"
                .formatted(project, commit, libtorch, presets, natives, Runtime.version());
    }
}
