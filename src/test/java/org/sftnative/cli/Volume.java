package org.sftnative.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/// A file system in memory; the test is skipped where none may be mounted.
record Volume(Path path) implements AutoCloseable {
    Volume(Path path, String options) throws Exception {
        this(Files.createDirectories(path));
        Assumptions.assumeTrue(
                run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path.toString()) == 0,
                "mounting a tmpfs is not permitted here");
    }

    boolean remount(String how) throws Exception {
        return run("mount", "-o", "remount," + how, path.toString()) == 0;
    }

    private static int run(String... command) throws Exception {
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
    }

    @Override
    public void close() throws Exception {
        run("umount", "-l", path.toString());
    }
}
