package org.sftnative.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/// Says in a user's words that the native libraries are not there: nearly always, there is no folder that they may be
/// unpacked to. Both libraries try the user's home, then the folder for temporary files, before they give up.
final class NativesErrors {
    private NativesErrors() {}

    /// A message of several lines; empty if an error is of another kind.
    static Optional<String> explain(Throwable error) {
        if (!(error instanceof ExceptionInInitializerError
                || error instanceof NoClassDefFoundError
                || error instanceof UnsatisfiedLinkError)) {
            return Optional.empty();
        }
        Throwable root =
                Stream.iterate(error, e -> e != null, Throwable::getCause).reduce(error, (_, last) -> last);
        String message = root.getMessage() == null ? root.getClass().getSimpleName() : root.getMessage();
        Path home = Path.of(System.getProperty("user.home", "."));
        Path temporary = Path.of(System.getProperty("java.io.tmpdir", "/tmp"));
        return Optional.of("the native libraries cannot be unpacked or loaded: "
                + message.lines().findFirst().orElse("")
                + "\n  the home folder " + home + " is " + state(home) + ", the temporary folder " + temporary + " is "
                + state(temporary) + variable("DJL_CACHE_DIR") + variable("ENGINE_CACHE_DIR")
                + "\n  give them folders that may be written: JAVA_TOOL_OPTIONS=-Dorg.bytedeco.javacpp.cachedir=FOLDER"
                + "\n  for libtorch (450 MB), DJL_CACHE_DIR=FOLDER for the tokenizers library");
    }

    private static String variable(String name) {
        String value = System.getenv().getOrDefault(name, "");
        return value.isBlank() ? "" : ",\n  " + name + "=" + value + " is " + state(Path.of(value));
    }

    private static String state(Path folder) {
        return !Files.isDirectory(folder) ? "no folder" : Files.isWritable(folder) ? "writable" : "not writable";
    }
}
