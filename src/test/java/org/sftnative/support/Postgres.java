package org.sftnative.support;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// A real PostgreSQL of its own, on a port of its own, gone when it is closed. Debian's package `postgresql` must be
/// there. PostgreSQL refuses to run as root; then it runs as the user `postgres`.
public final class Postgres implements AutoCloseable {
    private final Path directory;
    private final Path binaries;
    private final int port;

    private Postgres(Path directory, Path binaries, int port) {
        this.directory = directory;
        this.binaries = binaries;
        this.port = port;
    }

    public static Postgres start() throws Exception {
        Path binaries;
        try (Stream<Path> versions = Files.list(Path.of("/usr/lib/postgresql"))) {
            binaries = versions.max(Comparator.naturalOrder()).orElseThrow().resolve("bin");
        } catch (IOException e) {
            throw new AssertionError("no /usr/lib/postgresql: apt-get install postgresql", e);
        }
        Path directory = Files.createTempDirectory("sft-postgres");
        if (isRoot()) {
            run(List.of("chown", "postgres", directory.toString()));
        }
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        Postgres server = new Postgres(directory, binaries, port);
        server.as("initdb", "-D", server.data(), "-A", "trust", "-U", "sft", "-E", "UTF8", "--no-sync");
        server.go();
        return server;
    }

    /// Starts it again where it was.
    public void go() throws Exception {
        as(
                "pg_ctl",
                "-D",
                data(),
                "-w",
                "-l",
                directory.resolve("log").toString(),
                "-o",
                "-p " + port + " -c listen_addresses=127.0.0.1 -c unix_socket_directories=" + directory,
                "start");
    }

    public int port() {
        return port;
    }

    public String url() {
        return url(port);
    }

    /// The same server through a port that leads to it.
    public String url(int through) {
        return "jdbc:postgresql://127.0.0.1:" + through + "/postgres?user=sft";
    }

    /// Ends it as a power failure would.
    public void stop() throws Exception {
        as("pg_ctl", "-D", data(), "-m", "immediate", "-w", "stop");
    }

    @Override
    public void close() throws Exception {
        try {
            if (Files.exists(directory.resolve("data/postmaster.pid"))) {
                stop();
            }
        } finally {
            run(List.of("rm", "-rf", directory.toString()));
        }
    }

    private String data() {
        return directory.resolve("data").toString();
    }

    private void as(String program, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        if (isRoot()) {
            command.addAll(List.of("runuser", "-u", "postgres", "--"));
        }
        command.add(binaries.resolve(program).toString());
        command.addAll(List.of(arguments));
        run(command);
    }

    private static boolean isRoot() {
        return System.getProperty("user.name").equals("root");
    }

    private static void run(List<String> command) throws Exception {
        Path said = Files.createTempFile("postgres", ".txt");
        try {
            Process process = new ProcessBuilder(command)
                    .directory(Path.of("/tmp").toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(said.toFile())
                    .start();
            if (!process.waitFor(60, TimeUnit.SECONDS) || process.exitValue() != 0) {
                process.destroyForcibly();
                throw new AssertionError(command + "\n" + Files.readString(said));
            }
        } finally {
            Files.delete(said);
        }
    }
}
