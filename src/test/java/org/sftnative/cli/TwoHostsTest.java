package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Two network namespaces as two hosts, with a link between them. Needs root and iproute2; skipped
/// without.
@Tag("slow")
class TwoHostsTest {
    /// From the cut to the end of all: 3 s without a sign of life, and a second in which a rank may end by
    /// itself.
    private static final double SOON_SECONDS = 5;

    private static final int PATIENCE_SECONDS = 120;
    private static final String PORT = "29400";

    /// Of this process: the same test may run beside it.
    private final List<String> hosts = List.of(
            "sft-" + ProcessHandle.current().pid() + "-0",
            "sft-" + ProcessHandle.current().pid() + "-1");

    @TempDir
    Path dir;

    private Path rows;
    private final List<Process> started = new ArrayList<>();

    /// What becomes of the link.
    enum Cut {
        /// Its ends are down, as when a cable is pulled.
        DOWN,
        /// Its ends are up, and nothing that is sent arrives, as when a switch behind them fails.
        STALLED
    }

    @BeforeEach
    void connect() throws Exception {
        for (String host : hosts) {
            Said made = ip("netns", "add", host);
            assumeTrue(made.status() == 0, "no network namespaces here: ip netns add: " + made.text());
        }
        did(
                "link",
                "add",
                "sft0",
                "netns",
                hosts.get(0),
                "type",
                "veth",
                "peer",
                "name",
                "sft1",
                "netns",
                hosts.get(1));
        for (int host = 0; host < 2; host++) {
            did("-n", hosts.get(host), "addr", "add", address(host) + "/24", "dev", "sft" + host);
            did("-n", hosts.get(host), "link", "set", "sft" + host, "up");
            did("-n", hosts.get(host), "link", "set", "lo", "up");
        }
        rows = Program.rows(dir, 0, 20);
    }

    @AfterEach
    void disconnect() throws Exception {
        for (String host : hosts) {
            processes(host).forEach(ProcessHandle::destroyForcibly);
            ip("netns", "del", host);
        }
    }

    @Test
    void twoHostsTrainAsTwoRanksOfOneHost() throws Exception {
        Path out = dir.resolve("out");
        launchOnBoth(out, "--max-steps", "6");
        assertAllEnd(0);
        assertTrains(out, 2, "--max-steps", "6");
        assertEquals("", said(0) + said(1));
    }

    @ParameterizedTest
    @EnumSource(Cut.class)
    void aLinkThatIsCutEndsBothSidesSoonAndTheRunGoesOnAsIfItHadNotBeen(Cut cut) throws Exception {
        Path out = dir.resolve("out");
        String[] endless = {"--max-steps", "100000", "--save-steps", "2", "--lr-scheduler-type", "constant"};
        launchOnBoth(out, endless);
        awaitCheckpoint(out, 4);
        cut(cut);
        assertAllEndSoon();
        assertSays(0, 1);
        assertSays(1, 0);

        mend(cut);
        String[] some = endless.clone();
        some[1] = "" + (newestCheckpoint(out) + 3);
        launchOnBoth(out, with(some, "--resume", "--allow-changed"));
        assertAllEnd(0);
        assertTrains(out, 2, some);
    }

    /// Launchers start as many on each host: these are started as by torchrun.
    @Test
    void twoRanksHereAndOneThereTrainAsThreeAndEndSoonWhenTheyAreCutOff() throws Exception {
        Path out = dir.resolve("out");
        String[] few = {"--max-steps", "5"};
        startThree(out, few);
        assertAllEnd(0);
        assertTrains(out, 3, few);

        out = dir.resolve("cut");
        startThree(out, "--max-steps", "100000", "--save-steps", "2");
        awaitCheckpoint(out, 2);
        cut(Cut.STALLED);
        assertAllEndSoon();
        assertSays(0, 2);
        assertEquals("", said(1)); // rank 0 says it
        assertSays(2, 0);
    }

    private void cut(Cut cut) throws Exception {
        if (cut == Cut.DOWN) {
            did("-n", hosts.getFirst(), "link", "set", "sft0", "down");
            return;
        }
        for (int host = 0; host < 2; host++) { // frames for a card that is nobody's
            neighbour(host, "replace", "lladdr", "02:00:00:00:00:99", "nud", "permanent");
        }
    }

    private void mend(Cut cut) throws Exception {
        if (cut == Cut.DOWN) {
            did("-n", hosts.getFirst(), "link", "set", "sft0", "up");
            return;
        }
        for (int host = 0; host < 2; host++) {
            neighbour(host, "del");
        }
    }

    private void neighbour(int host, String what, String... more) throws Exception {
        did(with(new String[] {"-n", hosts.get(host), "neigh", what, address(1 - host), "dev", "sft" + host}, more));
    }

    private static String address(int host) {
        return "10.77.0." + (host + 1);
    }

    private void launchOnBoth(Path out, String... settings) throws IOException {
        started.clear();
        for (int host = 0; host < 2; host++) {
            List<String> command = new ArrayList<>(List.of("launch", "--nnodes", "2", "--node-rank", "" + host));
            command.addAll(List.of("--rdzv-endpoint", address(0) + ":" + PORT, "--"));
            command.addAll(training(out, settings));
            start(host, Map.of(), command);
        }
    }

    private void startThree(Path out, String... settings) throws IOException {
        started.clear();
        for (int rank = 0; rank < 3; rank++) {
            Map<String, String> place = Map.of(
                    "RANK",
                    "" + rank,
                    "WORLD_SIZE",
                    "3",
                    "LOCAL_RANK",
                    "" + rank % 2,
                    "LOCAL_WORLD_SIZE",
                    "" + (rank < 2 ? 2 : 1),
                    "MASTER_ADDR",
                    address(0),
                    "MASTER_PORT",
                    PORT);
            start(rank / 2, place, training(out, settings));
        }
    }

    private void start(int host, Map<String, String> environment, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of("ip", "netns", "exec", hosts.get(host)));
        command.addAll(Program.command(arguments.toArray(String[]::new)));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectOutput(dir.resolve("out-" + started.size()).toFile())
                .redirectError(dir.resolve("err-" + started.size()).toFile());
        builder.environment().put("LC_ALL", "C.UTF-8");
        builder.environment().putAll(environment);
        started.add(builder.start());
    }

    private List<String> training(Path out, String... settings) {
        List<String> arguments = Program.training(Program.BASE.toString(), out, rows);
        arguments.addAll(List.of("--gradient-accumulation-steps", "1", "--logging-steps", "1"));
        arguments.addAll(List.of(settings));
        return arguments;
    }

    private void assertAllEnd(int status) throws Exception {
        for (int i = 0; i < started.size(); i++) {
            assertTrue(started.get(i).waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS), "process " + i + " goes on");
            assertEquals(status, started.get(i).exitValue(), said(i));
        }
    }

    private void assertAllEndSoon() throws Exception {
        long cut = System.nanoTime();
        assertAllEnd(1);
        double seconds = (System.nanoTime() - cut) / 1e9;
        assertTrue(seconds < SOON_SECONDS, "all ended after " + seconds + " s");
        for (String host : hosts) {
            assertEquals(List.of(), processes(host), "orphans on " + host);
        }
    }

    private void assertSays(int process, int lost) throws IOException {
        String said = said(process);
        assertTrue(said.startsWith("error: rank " + lost + ": no sign of life for 3 s"), said);
    }

    /// Bit for bit what ranks of one host train.
    private void assertTrains(Path out, int ranks, String... settings) throws Exception {
        Path one = dir.resolve("one-host");
        List<String> command = new ArrayList<>(List.of("launch", "--nproc-per-node", "" + ranks, "--"));
        command.addAll(training(one, settings));
        Program.process(Map.of(), List.of(), command.toArray(String[]::new)).succeeded();
        assertEquals(Program.values(one, "loss"), Program.values(out, "loss"));
        assertArrayEquals(
                Files.readAllBytes(one.resolve("model.safetensors")),
                Files.readAllBytes(out.resolve("model.safetensors")));
    }

    private void awaitCheckpoint(Path out, int least) throws Exception {
        for (int i = 0; i < PATIENCE_SECONDS * 20 && newestCheckpoint(out) < least; i++) {
            assertTrue(started.getFirst().isAlive(), said(0));
            Thread.sleep(50);
        }
        assertTrue(newestCheckpoint(out) >= least, said(0));
    }

    private static int newestCheckpoint(Path out) throws IOException {
        if (!Files.isDirectory(out)) {
            return 0;
        }
        try (Stream<Path> files = Files.list(out)) {
            return files.map(path -> path.getFileName().toString())
                    .filter(name -> name.matches("checkpoint-\\d+"))
                    .mapToInt(name -> Integer.parseInt(name.substring(11)))
                    .max()
                    .orElse(0);
        }
    }

    private String said(int process) throws IOException {
        return Files.readString(dir.resolve("err-" + process));
    }

    private static String[] with(String[] some, String... more) {
        return Stream.concat(Arrays.stream(some), Arrays.stream(more)).toArray(String[]::new);
    }

    /// What runs on a host.
    private static List<ProcessHandle> processes(String host) throws Exception {
        Said pids = ip("netns", "pids", host);
        return pids.status() != 0
                ? List.of()
                : pids.text()
                        .lines()
                        .flatMap(pid -> ProcessHandle.of(Long.parseLong(pid)).stream())
                        .toList();
    }

    private record Said(int status, String text) {}

    private static void did(String... arguments) throws Exception {
        Said said = ip(arguments);
        assertEquals(0, said.status(), () -> String.join(" ", arguments) + ": " + said.text());
    }

    private static Said ip(String... arguments) throws Exception {
        try {
            Process process = new ProcessBuilder(with(new String[] {"ip"}, arguments))
                    .redirectErrorStream(true)
                    .start();
            String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return new Said(process.waitFor(), text);
        } catch (IOException e) {
            return new Said(-1, e.getMessage()); // there is no ip
        }
    }
}
