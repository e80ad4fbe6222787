package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;

/// Memory that really runs out: a process whose address space is limited to what a run with small micro-batches has,
/// and a little more.
@Tag("slow")
class MemoryLimitTest {
    private static final Pattern HALVED = Pattern.compile("no memory for a micro-batch of (\\d+) tokens");

    @TempDir
    Path dir;

    @Test
    void aRunThatHasNotTheMemoryForItsMicroBatchesHalvesThemAndTrainsTheSame() throws Exception {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            lines.addAll(Files.readAllLines(Path.of("data/quickstart.jsonl")));
        }
        Path rows = Files.write(dir.resolve("rows.jsonl"), lines);
        Path peak = dir.resolve("peak");
        run(
                        "small",
                        rows,
                        "1024",
                        "\"$@\" & p=$!; while grep VmPeak /proc/$p/status > " + peak + ".new; do mv " + peak + ".new "
                                + peak + "; sleep 0.05; done; wait $p")
                .succeeded();
        long kilobytes = Long.parseLong(Files.readString(peak).replaceAll("\\D", ""));
        // 300 MB for buffers that grow; 47,000 tokens at once need some 900
        Outcome limited = run("limited", rows, "60000", "ulimit -v " + (kilobytes + 300_000) + "; exec \"$@\"")
                .succeeded();
        Matcher halved = HALVED.matcher(limited.out());
        assertTrue(halved.find(), limited.out());
        assertTrue(Integer.parseInt(halved.group(1)) > 10_000, limited.out());
        List<Double> expected = Program.values(dir.resolve("small"), "loss");
        List<Double> actual = Program.values(dir.resolve("limited"), "loss");
        assertEquals(1, actual.size());
        // the same rows, each once, summed in another order; a row twice would be 1e-3
        assertEquals(1, actual.getFirst() / expected.getFirst(), 2e-6);
    }

    private Outcome run(String out, Path rows, String microBatchTokens, String shell) throws Exception {
        List<String> args = Program.training(Program.BASE.toString(), dir.resolve(out), rows);
        args.addAll(List.of(
                "--batch-size",
                "1200",
                "--gradient-accumulation-steps",
                "1",
                "--max-steps",
                "1",
                "--logging-steps",
                "1",
                "--save-strategy",
                "no",
                "--micro-batch-tokens",
                microBatchTokens));
        return Program.process(Map.of(), List.of("bash", "-c", shell, "bash"), args.toArray(String[]::new));
    }
}
