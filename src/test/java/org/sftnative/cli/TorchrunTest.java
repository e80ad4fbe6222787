package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.cli.Program.Outcome;

/// torchrun itself, which serves the meeting point from its own process.
@Tag("clients")
class TorchrunTest {
    @TempDir
    Path dir;

    @Test
    void torchrunStartsRanks() throws Exception {
        String python = Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3");
        List<String> torchrun = new ArrayList<>(
                List.of(python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"));
        Path out = dir.resolve("out");
        String train = "train --threads 1 --model " + Program.BASE + " --train-file " + Program.rows(dir, 0, 20)
                + " --output-dir " + out + " --max-steps 3 --logging-steps 1 --sharding zero1";
        Outcome outcome = Program.process(Map.of("LC_ALL", "C.UTF-8"), torchrun, train.split(" "))
                .succeeded();
        assertTrue(outcome.out().contains("2 (gloo"), outcome.out());
        assertEquals(List.of(1, 2, 3), Program.steps(out, "loss"));
    }
}
