package org.sftnative.dist;

import java.io.IOException;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// Which of a run's processes this one is, and where they meet, as a launcher says in the environment.
///
/// @param rank from 0
/// @param size processes of the run
/// @param localRank among those of this machine
/// @param localSize processes on this machine
/// @param host where rank 0 is
/// @param port where they meet
/// @param served whether the launcher itself serves the meeting point, as torchrun does
/// @param attempt of torchrun, which starts a failed run again
public record Place(
        int rank, int size, int localRank, int localSize, String host, int port, boolean served, String attempt) {
    private static final List<String> NAMES = List.of("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT");

    /// Ports for jobs of SLURM, by their number: jobs of one machine differ.
    private static final int SLURM_PORTS = 20_000;

    public Place {
        check("WORLD_SIZE", size, 1, 1_000_000);
        check("RANK", rank, 0, size - 1);
        check("LOCAL_WORLD_SIZE", localSize, 1, size);
        check("LOCAL_RANK", localRank, 0, localSize - 1);
        check("MASTER_PORT", port, 1, 65_535);
    }

    /// A place on this machine.
    public static Place local(int rank, int size, int port) {
        return new Place(rank, size, rank, size, "127.0.0.1", port, false, "0");
    }

    /// A port of this machine that nobody uses now.
    public static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    /// Reads what torchrun, Kubeflow's PyTorchJob or `sft-native launch` set, else what srun does.
    ///
    /// @return empty if this process was started alone
    /// @throws InputException if some of the variables are there, or a value is wrong
    public static Optional<Place> of(Map<String, String> environment) {
        List<String> missing = NAMES.stream()
                .filter(name -> value(environment, name).isEmpty())
                .toList();
        // a container may well have an address of a master, and srun's steps are told of below
        boolean ranked = !missing.contains("RANK") || !missing.contains("WORLD_SIZE");
        if (ranked && missing.isEmpty()) {
            int rank = number(environment, "RANK", 0);
            int size = number(environment, "WORLD_SIZE", 1);
            int localRank = number(environment, "LOCAL_RANK", 0);
            return Optional.of(new Place(
                    rank,
                    size,
                    localRank,
                    number(environment, "LOCAL_WORLD_SIZE", localRank + 1),
                    value(environment, "MASTER_ADDR"),
                    number(environment, "MASTER_PORT", 0),
                    value(environment, "TORCHELASTIC_USE_AGENT_STORE").equals("True"),
                    environment.getOrDefault("TORCHELASTIC_RESTART_COUNT", "0")));
        }
        if (ranked) {
            List<String> there = new ArrayList<>(NAMES);
            there.removeAll(missing);
            throw new InputException(
                    "the environment has " + String.join(", ", there) + ", and no "
                            + String.join(", ", missing)
                            + "\n  a launcher sets all four (torchrun, srun, sft-native launch); unset them for a run of one process");
        }
        return slurm(environment);
    }

    /// Of a step of srun. (The script of a batch job has most of these variables too, but is no task.)
    private static Optional<Place> slurm(Map<String, String> environment) {
        int size = number(environment, "SLURM_STEP_NUM_TASKS", 1);
        if (size == 1 || value(environment, "SLURM_PROCID").isEmpty()) {
            return Optional.empty();
        }
        int localRank = number(environment, "SLURM_LOCALID", 0);
        int node = number(environment, "SLURM_NODEID", 0);
        List<Integer> tasks = tasksPerNode(environment.getOrDefault("SLURM_STEP_TASKS_PER_NODE", ""));
        String host = value(environment, "MASTER_ADDR");
        String job = environment.getOrDefault("SLURM_JOB_ID", "0") + environment.getOrDefault("SLURM_STEP_ID", "0");
        int port = SLURM_PORTS + Math.floorMod(job.hashCode(), SLURM_PORTS);
        return Optional.of(new Place(
                number(environment, "SLURM_PROCID", 0),
                size,
                localRank,
                node < tasks.size() ? tasks.get(node) : localRank + 1,
                host.isEmpty() ? firstHost(value(environment, "SLURM_STEP_NODELIST")) : host,
                number(environment, "MASTER_PORT", port),
                false,
                "0"));
    }

    /// `2(x3),1` is 2, 2, 2, 1.
    static List<Integer> tasksPerNode(String text) {
        List<Integer> tasks = new ArrayList<>();
        Matcher matcher = Pattern.compile("(\\d+)(?:\\(x(\\d+)\\))?").matcher(text);
        while (matcher.find()) {
            int times = matcher.group(2) == null ? 1 : Integer.parseInt(matcher.group(2));
            for (int i = 0; i < times; i++) {
                tasks.add(Integer.parseInt(matcher.group(1)));
            }
        }
        return tasks;
    }

    /// The first of SLURM's list of hosts: `gpu[03-05,9],login1` begins with gpu03.
    static String firstHost(String list) {
        Matcher matcher =
                Pattern.compile("([^\\[,]+)(?:\\[(\\d+)[^]]*]([^,]*))?.*").matcher(list);
        if (!matcher.matches()) {
            throw new InputException("SLURM_STEP_NODELIST is '" + list + "', which has no host in it"
                    + "\n  set MASTER_ADDR to the host of task 0");
        }
        if (matcher.group(2) == null) {
            return matcher.group(1);
        }
        String after = matcher.group(3);
        return matcher.group(1) + matcher.group(2) + (after.isEmpty() ? "" : firstHost(after));
    }

    private static String value(Map<String, String> environment, String name) {
        return environment.getOrDefault(name, "").strip();
    }

    private static int number(Map<String, String> environment, String name, int otherwise) {
        String text = value(environment, name);
        if (text.isEmpty()) {
            return otherwise;
        }
        if (!text.matches("\\d{1,9}")) {
            throw new InputException("the environment's " + name + " is '" + text + "', must be a number");
        }
        return Integer.parseInt(text);
    }

    private static void check(String name, int value, int least, int most) {
        if (value < least || value > most) {
            throw new InputException("the environment's " + name + " is " + value + ", must be from " + least + " to "
                    + most + "\n  it is what a launcher sets (torchrun, srun, sft-native launch)");
        }
    }
}
