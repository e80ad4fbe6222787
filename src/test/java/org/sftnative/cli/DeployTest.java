package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/// The files of `deploy`, run as their systems would: a stand-in for srun starts tasks with srun's
/// variables.
class DeployTest {
    private static final String SRUN = """
            #!/usr/bin/env bash
            # two tasks of one node
            [ "$1" = --kill-on-bad-exit=0 ] && shift
            pids=()
            for task in 0 1; do
                SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NODEID=0 SLURM_STEP_ID=0 \\
                    SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=localhost "$@" &
                pids+=($!)
            done
            status=0
            for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
            exit "$status"
            """;

    @TempDir
    Path dir;

    @Test
    void theSlurmJobTrainsAndGoesOnWhenItIsStartedAgain() throws Exception {
        executable("srun", SRUN);
        executable("scontrol", "#!/usr/bin/env bash\necho \"$@\" >>'" + dir + "/scontrol.txt'\n");
        executable("sft-native", "#!/usr/bin/env bash\nexec " + quoted(Program.command()) + " \"$@\"\n");
        Path config = Files.writeString(
                dir.resolve("run.yaml"),
                "model: " + Program.BASE.toAbsolutePath() + "\ntrain_file: " + Program.rows(dir, 0, 20)
                        + "\nthreads: 1\nsave_steps: 1\nlogging_steps: 1\nmax_steps: 4\n");
        Path out = dir.resolve("out");
        String log = job(0, config.toString(), out.toString(), "--max-steps", "4");
        assertTrue(log.contains("2 (gloo"), log);
        assertEquals(List.of(1, 2, 3, 4), Program.steps(out, "loss"));
        Files.delete(out.resolve("checkpoint-4").resolve("trainer_state.json"));
        log = job(0, config.toString(), out.toString());
        assertTrue(log.contains("checkpoint-3"), log); // what it goes on from
        // the end that comes before the time is over
        executable("sft-native", "#!/usr/bin/env bash\nexit 143\n");
        job(0, config.toString(), out.toString());
        assertEquals(
                "requeue 4711", Files.readString(dir.resolve("scontrol.txt")).strip());
        executable("sft-native", "#!/usr/bin/env bash\nexit 2\n");
        job(2, config.toString(), out.toString());
    }

    @Test
    void thePyTorchJobLaunchesARankAGpuInEveryPod() throws Exception {
        JsonNode job = new YAMLMapper().readTree(Files.readString(Path.of("deploy/pytorchjob.yaml")));
        assertEquals("PyTorchJob", job.path("kind").asString());
        executable("sft-native", "#!/usr/bin/env bash\necho \"$@\"\n");
        for (String kind : List.of("Master", "Worker")) {
            JsonNode container = job.at("/spec/pytorchReplicaSpecs/" + kind + "/template/spec/containers/0");
            assertEquals("pytorch", container.path("name").asString());
            List<String> command = new ArrayList<>();
            container.path("command").forEach(part -> command.add(part.asString()));
            container.path("args").forEach(part -> command.add(part.asString()));
            Map<String, String> pod = Map.of(
                    "GPUS", container.at("/env/0/value").asString(),
                    "WORLD_SIZE", "2",
                    "RANK", kind.equals("Master") ? "0" : "1",
                    "MASTER_ADDR", "sft-native-master-0",
                    "MASTER_PORT", "23456");
            assertEquals(
                    "launch --nproc-per-node 8 --nnodes 2 --node-rank " + pod.get("RANK")
                            + " --rdzv-endpoint sft-native-master-0:23456 --"
                            + " train --config /data/run.yaml --output-dir /data/out",
                    run(0, pod, command).strip());
        }
    }

    private String job(int status, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("bash", "deploy/slurm.sbatch"));
        command.addAll(List.of(arguments));
        return run(status, Map.of("SLURM_JOB_ID", "4711", "LC_ALL", "C.UTF-8"), command);
    }

    private String run(int status, Map<String, String> environment, List<String> command) throws Exception {
        Path log = dir.resolve("log.txt");
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().putAll(environment);
        builder.environment().merge("PATH", dir.toString(), (path, ours) -> ours + ":" + path);
        Process process = builder.start();
        assertTrue(process.waitFor(3, TimeUnit.MINUTES));
        assertEquals(status, process.exitValue(), Files.readString(log));
        return Files.readString(log);
    }

    private void executable(String name, String text) throws IOException {
        Path file = Files.writeString(dir.resolve(name), text);
        assertTrue(file.toFile().setExecutable(true));
    }

    private static String quoted(List<String> words) {
        return String.join(" ", words.stream().map(word -> "'" + word + "'").toList());
    }
}
