package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Two network namespaces as two hosts, with a cable between them. Needs root and iproute2; skipped
/// without.
@Tag("slow")
class TwoHostsTest {
    private static final List<String> HOSTS = List.of("sft-test-0", "sft-test-1");

    @TempDir
    Path dir;

    private final List<Process> launchers = new ArrayList<>();

    @BeforeEach
    void connect() throws Exception {
        assumeTrue(ip("netns", "add", HOSTS.get(0)) && ip("netns", "add", HOSTS.get(1)), "no network namespaces here");
        assertTrue(ip(
                "link",
                "add",
                "sft-t0",
                "netns",
                HOSTS.get(0),
                "type",
                "veth",
                "peer",
                "name",
                "sft-t1",
                "netns",
                HOSTS.get(1)));
        for (int host = 0; host < 2; host++) {
            assertTrue(
                    ip("-n", HOSTS.get(host), "addr", "add", "10.77.0." + (host + 1) + "/24", "dev", "sft-t" + host));
            assertTrue(ip("-n", HOSTS.get(host), "link", "set", "sft-t" + host, "up"));
            assertTrue(ip("-n", HOSTS.get(host), "link", "set", "lo", "up"));
        }
    }

    @AfterEach
    void disconnect() throws Exception {
        launchers.forEach(Process::destroyForcibly);
        for (String host : HOSTS) {
            ip("netns", "del", host);
        }
    }

    @Test
    void aCableThatIsCutEndsBothHostsSoonAndEachSaysWhy() throws Exception {
        Path out = dir.resolve("out");
        Path rows = Program.rows(dir, 0, 20);
        for (int host = 0; host < 2; host++) {
            launchers.add(start(host, out, rows));
        }
        for (int i = 0; i < 2400 && !Files.exists(out.resolve("checkpoint-4")); i++) {
            assertTrue(launchers.getFirst().isAlive(), said(0));
            Thread.sleep(50);
        }
        assertTrue(ip("-n", HOSTS.getFirst(), "link", "set", "sft-t0", "down"));
        long cut = System.nanoTime();
        for (Process launcher : launchers) {
            assertTrue(launcher.waitFor(60, TimeUnit.SECONDS), "it goes on");
            assertEquals(1, launcher.exitValue());
        }
        double seconds = (System.nanoTime() - cut) / 1e9;
        assertTrue(seconds < 7, "both ended after " + seconds + " s"); // five, and two of the launcher's for its ranks
        assertTrue(said(0).startsWith("error: rank 1: no sign of life for 3 s"), said(0));
        assertTrue(said(1).startsWith("error: rank 0: no sign of life for 3 s"), said(1));
    }

    private Process start(int host, Path out, Path rows) throws IOException {
        List<String> command = new ArrayList<>(List.of("ip", "netns", "exec", HOSTS.get(host)));
        command.addAll(Program.command(("launch --nnodes 2 --node-rank " + host + " --rdzv-endpoint 10.77.0.1:29400 --"
                        + " train --model " + Program.BASE + " --threads 1 --output-dir " + out + " --train-file "
                        + rows
                        + " --max-steps 100000 --save-steps 2")
                .split(" ")));
        return new ProcessBuilder(command)
                .redirectOutput(dir.resolve("out-" + host).toFile())
                .redirectError(dir.resolve("err-" + host).toFile())
                .start();
    }

    private String said(int host) throws IOException {
        return Files.readString(dir.resolve("err-" + host));
    }

    private static boolean ip(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("ip"));
        command.addAll(Arrays.asList(arguments));
        try {
            return new ProcessBuilder(command).redirectErrorStream(true).start().waitFor() == 0;
        } catch (IOException e) {
            return false; // there is no ip
        }
    }
}
