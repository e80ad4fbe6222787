package org.sftnative.benchmarks.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.benchmarks.Main;

/// Forks in turns, of a build whose benchmarks only say that they ran: its arguments are the base's and the candidate's
/// seconds, what one fork does (nothing, `fails` or `skips`), and the name of that fork.
class AbbaTest {
    private static final String BUILD = """
            package org.sftnative.benchmarks;
            import java.nio.file.*;
            public class Main {
                public static void main(String[] args) throws Exception {
                    Path result = Path.of(args[args.length - 1]);
                    String name = result.getFileName().toString().replace(".json", "");
                    Path ran = result.resolveSibling("ran");
                    say(ran, "begin " + name);
                    System.out.println(Files.readString(Path.of("/proc/self/status")).replaceAll(
                            "(?s).*Cpus_allowed_list:\\\\s*(\\\\S+).*", "core $1, ") + System.getenv("SFT_BENCH_TURNS"));
                    if (name.equals(args[3]) && args[2].equals("fails")) {
                        System.out.println("no such benchmark");
                        System.exit(3);
                    }
                    if (args[2].equals("fails")) {
                        Thread.sleep(60_000);
                    }
                    if (System.getenv("SFT_BENCH_TURNS") != null) { // as long as the other has not begun
                        String pair = name.replaceAll("\\\\D", "");
                        while (Files.readAllLines(ran).stream()
                                .filter(l -> l.startsWith("begin") && l.endsWith(pair)).count() < 2) {
                            Thread.sleep(10);
                        }
                    }
                    if (!(name.equals(args[3]) && args[2].equals("skips"))) {
                        Files.writeString(result, "[{\\"benchmark\\": \\"B.b\\", \\"mode\\": \\"avgt\\", \\"primaryMetric\\":"
                                + "{\\"scoreUnit\\": \\"s/op\\", \\"rawData\\": [[" + args[name.startsWith("b") ? 0 : 1] + "]]}}]");
                    }
                    say(ran, "end " + name);
                }
                private static void say(Path ran, String what) throws Exception {
                    Files.writeString(ran, what + "\\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                }
            }
            """;

    @TempDir
    static Path build;

    @TempDir
    Path dir;

    @BeforeAll
    static void compile() throws IOException {
        Path source = Files.writeString(build.resolve("Main.java"), BUILD);
        assertEquals(
                0,
                ToolProvider.getSystemJavaCompiler().run(null, null, null, "-d", build.toString(), source.toString()));
    }

    @Test
    void forksRunAloneBaseCandidateCandidateBase() throws Exception {
        assertEquals(1, guard("abba", 4, "1", "1.05", "", ""));
        List<String> expected = new ArrayList<>();
        for (String fork : List.of(
                "base-01",
                "candidate-01",
                "candidate-02",
                "base-02",
                "base-03",
                "candidate-03",
                "candidate-04",
                "base-04")) {
            expected.addAll(List.of("begin " + fork, "end " + fork));
        }
        assertEquals(expected, Files.readAllLines(out().resolve("ran")));
    }

    @Test
    void aBuildAgainstItselfPasses() throws Exception {
        assertEquals(0, guard("abba", 4, "1", "1", "", ""));
    }

    /// Each waits until the other has begun.
    @Test
    void inTurnsTheForksOfAPairRunSideBySideOnOneCore() throws Exception {
        assertEquals(1, guard("turns", 4, "1", "1.05", "", ""));
        assertEquals(16, Files.readAllLines(out().resolve("ran")).size());
        List<Integer> cores = Abba.cores(Files.readAllLines(Path.of("/proc/self/status")), System.getenv("PATH"));
        for (Abba.Fork fork : abba(true, cores).order(4)) {
            String log = Files.readString(out().resolve(fork.name() + ".log"));
            assertTrue(fork.core() < 0 || log.startsWith("core " + fork.core() + ", "), log);
            assertTrue(log.endsWith(", " + out().resolve("turn") + "\n"), log);
        }
    }

    @Test
    void aPairIsHeldToACoreAndTheNextToTheNext() {
        Abba two = abba(true, List.of(0, 5));
        assertEquals(
                List.of("base-01 0", "candidate-01 0", "candidate-02 5", "base-02 5", "base-03 0", "candidate-03 0"),
                two.order(3).stream().map(f -> f.name() + " " + f.core()).toList());
        Abba.Fork fork = two.order(2).get(2);
        List<String> command = two.command(fork);
        assertEquals(List.of("taskset", "-c", "5"), command.subList(0, 3));
        assertTrue(command.containsAll(List.of("-Djmh.ignoreLock=true", Main.class.getName())), command.toString());
        assertEquals(
                List.of("A.a", "-f", "1", "-rf", "json", "-rff", out() + "/candidate-02.json"),
                command.subList(command.size() - 7, command.size()));
        assertEquals("C", command.get(command.indexOf("-cp") + 1));

        Abba any = abba(false, List.of());
        command = any.command(any.order(1).getFirst());
        assertFalse(command.contains("taskset"), command.toString());
        assertTrue(command.contains("-Djmh.ignoreLock=false"), command.toString());
        assertEquals("B", command.get(command.indexOf("-cp") + 1));
    }

    @Test
    void coresAreTheOnesAllowed() throws IOException {
        assertEquals(List.of(), Abba.cores(List.of("Cpus_allowed_list:\t0-7"), dir.toString()));
        Path taskset = Files.createFile(dir.resolve("taskset"));
        assertTrue(taskset.toFile().setExecutable(true));
        String path = "/nowhere:" + dir;
        assertEquals(List.of(0, 1, 2), Abba.cores(List.of("Name: x", "Cpus_allowed_list:\t0-2"), path));
        assertEquals(List.of(2, 4, 5, 9), Abba.cores(List.of("Cpus_allowed_list:\t2,4-5,9"), path));
        assertEquals(List.of(), Abba.cores(List.of(), path));
    }

    /// The other, which would go on for a minute, is ended.
    @Test
    void aForkThatFailsIsNoVerdictAndItsLastWordsAreTold() throws Exception {
        BadResults e = assertThrows(BadResults.class, () -> guard("turns", 4, "1", "2", "fails", "candidate-01"));
        assertTrue(e.getMessage().startsWith("candidate-01 failed with status 3: "), e.getMessage());
        assertTrue(e.getMessage().endsWith("\n  no such benchmark"), e.getMessage());
        for (ProcessHandle other : ProcessHandle.current().children().toList()) {
            other.onExit().get(20, TimeUnit.SECONDS);
        }
    }

    /// As where there is no card.
    @Test
    void aForkWithoutAResultIsNoVerdict() {
        BadResults e = assertThrows(BadResults.class, () -> guard("abba", 4, "1", "1", "skips", "base-01"));
        assertTrue(e.getMessage().startsWith("base-01 left no result: "), e.getMessage());
    }

    @Test
    void tooFewPairsAreRefusedBeforeAnyRuns() {
        for (String pairs : List.of("0", "3", "-1")) {
            BadResults e =
                    assertThrows(BadResults.class, () -> guard("abba", Integer.parseInt(pairs), "1", "1", "", ""));
            assertEquals(pairs + " pairs of forks, at least 4 are needed", e.getMessage());
        }
        assertThrows(BadResults.class, () -> Guard.run(List.of("abba", "B", "C", "many", out().toString())));
        assertFalse(Files.exists(out()));
    }

    /// As many of both, but not of the same pairs.
    @Test
    void forksWithoutTheirOtherAreRefused() throws IOException {
        Files.createDirectories(out());
        for (String fork : List.of("base-01", "base-03", "candidate-01", "candidate-02")) {
            Files.createFile(out().resolve(fork + ".json"));
        }
        BadResults e = assertThrows(BadResults.class, () -> Guard.run(List.of("compare", out().toString())));
        assertEquals("the forks in " + out() + " are no pairs: base [01, 03], candidate [01, 02]", e.getMessage());
    }

    private Path out() {
        return dir.resolve("out");
    }

    private Abba abba(boolean turns, List<Integer> cores) {
        return new Abba("B", "C", turns, cores, out(), List.of("A.a"));
    }

    private int guard(String mode, int pairs, String... build) throws IOException, InterruptedException {
        List<String> args = new ArrayList<>(
                List.of(mode, AbbaTest.build.toString(), AbbaTest.build.toString(), "" + pairs, out().toString()));
        args.addAll(List.of(build));
        return Guard.run(args);
    }
}
