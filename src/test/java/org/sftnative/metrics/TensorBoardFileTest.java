package org.sftnative.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The records are whole and their checksums right; `scripts/test --clients` has the real TensorBoard read them.
class TensorBoardFileTest {
    @TempDir
    Path folder;

    @Test
    void recordsAreWholeWithTheirChecksums() throws IOException {
        write(folder, 0);
        List<byte[]> records = records(folder);
        assertEquals(1 + 3 + 1, records.size());
        String version = new String(records.getFirst(), StandardCharsets.UTF_8);
        assertEquals("brain.Event:2", version.substring(version.length() - 13));
    }

    @Test
    void resumedRunBeginsAnewFileThatSaysSo() throws IOException {
        write(folder, 2);
        assertEquals(1 + 1 + 1 + 1, records(folder).size());
    }

    static void write(Path folder, long from) {
        TensorBoardFile file = new TensorBoardFile(folder, Clock.systemUTC(), problem -> {
            throw new AssertionError(problem);
        });
        file.on(new RunEvent.Started(from, 3, Map.of(), 6e6, 1e12));
        for (long step = from + 1; step <= 3; step++) {
            file.on(new RunEvent.StepDone(step, 3, 0.5, 1.0 / step, 2, 1e-4, 1000, 500, 1, 1 << 20, true));
        }
        file.on(new RunEvent.Evaluated(3, 1, 0.25, 7, 1));
    }

    /// Runs only where Python has tensorboard: what its reader makes of a run that went to step 3, and was resumed
    /// from step 2 with another loss.
    @Test
    @Tag("clients")
    void theRealTensorBoardReadsThemAndForgetsWhatAResumedRunDoesAgain() throws Exception {
        write(folder, 0);
        Thread.sleep(1100); // TensorBoard orders files by their names, which begin with the second
        write(folder, 2);
        String python = System.getenv().getOrDefault("SFT_PYTHON", "python3");
        Process process = new ProcessBuilder(python, "-c", """
                import sys
                from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
                a = EventAccumulator(sys.argv[1])
                a.Reload()
                print(sorted(a.Tags()["scalars"]))
                print([(e.step, round(e.value, 4)) for e in a.Scalars("train/loss")])
                print([(e.step, round(e.value, 6)) for e in a.Scalars("train/mfu")])
                """, folder.toString())
                .redirectErrorStream(true)
                .start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        String[] lines = said.strip().split("\n");
        int n = lines.length;
        assertEquals(
                "['eval/loss', 'eval/runtime', 'train/epoch', 'train/grad_norm', 'train/learning_rate', 'train/loss',"
                        + " 'train/mfu', 'train/peak_bytes', 'train/tokens_per_second', 'train/tokens_seen']",
                lines[n - 3]);
        assertEquals("[(1, 1.0), (2, 0.5), (3, 0.3333)]", lines[n - 2]);
        assertEquals("[(1, 0.006), (2, 0.006), (3, 0.006)]", lines[n - 1]);
    }

    private static List<byte[]> records(Path folder) throws IOException {
        List<byte[]> records = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(files.findFirst().orElseThrow()))
                    .order(ByteOrder.LITTLE_ENDIAN);
            while (in.hasRemaining()) {
                byte[] length = new byte[8];
                in.get(length);
                assertEquals(masked(length), in.getInt());
                byte[] data = new byte
                        [(int) ByteBuffer.wrap(length)
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .getLong()];
                in.get(data);
                assertEquals(masked(data), in.getInt());
                records.add(data);
            }
        }
        return records;
    }

    private static int masked(byte[] data) {
        CRC32C crc = new CRC32C();
        crc.update(data);
        int c = (int) crc.getValue();
        return (c >>> 15 | c << 17) + 0xa282ead8;
    }
}
