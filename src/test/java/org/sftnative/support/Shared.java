package org.sftnative.support;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Assertions;

/// The folder of real rows and models that tests tagged `reference` compare with: SFT_SHARED, or `../shared`.
public final class Shared {
    private static final Path ROOT =
            Path.of(Optional.ofNullable(System.getenv("SFT_SHARED")).orElse("../shared"));

    private Shared() {}

    /// A file or folder of it; a missing one fails the test.
    public static Path file(String name) {
        Path path = ROOT.resolve(name);
        Assertions.assertTrue(Files.exists(path), path + " is missing: set SFT_SHARED");
        return path;
    }
}
