package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.support.InMemory;
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

    /// What the file may ask of sbatch.
    private static final Set<String> SBATCH = Set.of(
            "job-name",
            "nodes",
            "ntasks-per-node",
            "gpus-per-node",
            "cpus-per-task",
            "mem",
            "time",
            "signal",
            "requeue",
            "output",
            "open-mode",
            "partition",
            "account");

    @TempDir(factory = InMemory.class)
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

    /// SLURM reads options up to the first command, and takes no others than it knows.
    @Test
    void theSlurmJobIsOneForSbatch() throws Exception {
        run(0, Map.of(), List.of("bash", "-n", "deploy/slurm.sbatch"));
        List<String> lines = Files.readAllLines(Path.of("deploy/slurm.sbatch"));
        assertEquals("#!/usr/bin/env bash", lines.getFirst());
        Map<String, String> options = new HashMap<>();
        for (String line : lines) {
            if (line.startsWith("#SBATCH ")) {
                Matcher option =
                        Pattern.compile("#SBATCH --([a-z-]+)(?:=(\\S+))?").matcher(line);
                assertTrue(option.matches(), line);
                assertEquals(null, options.put(option.group(1), "" + option.group(2)), line);
            } else if (!line.isBlank() && !line.startsWith("#")) {
                break;
            }
        }
        assertEquals(
                lines.stream().filter(line -> line.startsWith("#SBATCH")).count(), options.size(), "after a command");
        assertTrue(SBATCH.containsAll(options.keySet()), options::toString);
        assertEquals(options.get("gpus-per-node"), options.get("ntasks-per-node")); // a rank is a card
        assertEquals("TERM@300", options.get("signal")); // to the tasks; B: would be to this script
    }

    @Test
    void thePyTorchJobHasWhatTheOperatorAsksFor() throws Exception {
        JsonNode job = new YAMLMapper().readTree(Files.readString(Path.of("deploy/pytorchjob.yaml")));
        assertEquals("kubeflow.org/v1", job.path("apiVersion").asString());
        assertTrue(job.at("/metadata/name").asString().matches("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"));
        assertTrue(Set.of("None", "Running", "All")
                .contains(job.at("/spec/runPolicy/cleanPodPolicy").asString()));
        assertEquals(
                Set.of("Master", "Worker"), job.at("/spec/pytorchReplicaSpecs").propertyNames());
        assertEquals(1, job.at("/spec/pytorchReplicaSpecs/Master/replicas").asInt());
        JsonNode master = job.at("/spec/pytorchReplicaSpecs/Master/template/spec");
        for (JsonNode replica : job.at("/spec/pytorchReplicaSpecs")) {
            assertTrue(replica.path("replicas").asInt() >= 1);
            assertTrue(Set.of("Always", "OnFailure", "Never", "ExitCode")
                    .contains(replica.path("restartPolicy").asString()));
            JsonNode pod = replica.at("/template/spec");
            assertEquals(master, pod); // ranks are alike
            JsonNode container = pod.at("/containers/0");
            assertFalse(container.path("image").asString().isEmpty());
            assertEquals(
                    container.at("/resources/limits/nvidia.com~1gpu").asString(),
                    container.at("/env/0/value").asString());
            Set<String> mounted = new TreeSet<>();
            container.path("volumeMounts").forEach(mount -> {
                assertTrue(mount.path("mountPath").asString().startsWith("/"));
                mounted.add(mount.path("name").asString());
            });
            Set<String> volumes = new TreeSet<>();
            pod.path("volumes")
                    .forEach(volume -> volumes.add(volume.path("name").asString()));
            assertEquals(volumes, mounted);
            run(0, Map.of(), List.of("bash", "-n", "-c", container.at("/args/0").asString()));
        }
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
