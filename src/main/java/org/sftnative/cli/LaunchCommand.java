package org.sftnative.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.IntConsumer;
import org.sftnative.InputException;
import org.sftnative.config.LaunchSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.dist.Place;

/// `launch`: starts the ranks of this machine and watches them. They find one another, and end
/// together, by themselves; this one passes signals on, ends whatever is left, and takes every rank
/// along when it dies.
final class LaunchCommand {
    static final SettingsSchema<LaunchSettings> LAUNCH = SettingsSchema.of(LaunchSettings.class);

    /// What ranks have to end by themselves after one has failed.
    private static final int GRACE_SECONDS = 2;

    private static final int INTERRUPT = 2;

    private final PrintStream err;
    private final boolean terminal;
    private final Optional<IntConsumer> halt;

    /// @param halt ends the process at once: with it, signals are passed on
    LaunchCommand(PrintStream err, boolean terminal, Optional<IntConsumer> halt) {
        this.err = err;
        this.terminal = terminal;
        this.halt = halt;
    }

    /// @param arguments of every rank
    /// @return the status of the first rank that failed, else rank 0's
    int run(LaunchSettings settings, List<String> arguments) throws IOException, InterruptedException {
        if (arguments.isEmpty() || !List.of("train", "comm-bench").contains(arguments.getFirst())) {
            throw new InputException("launch needs the command of its ranks after --"
                    + "\n  sft-native launch --nproc-per-node 2 -- train --model models/base ...");
        }
        int port = settings.port() == 0 ? Place.freePort() : settings.port();
        List<Process> ranks = new ArrayList<>();
        LinkedBlockingQueue<Process> ended = new LinkedBlockingQueue<>();
        Optional<Signals> signals = halt.map(end -> new Signals(signal -> pass(signal, ranks), end));
        try {
            for (int local = 0; local < settings.nprocPerNode(); local++) {
                Process rank = start(settings, arguments, local, port);
                ranks.add(rank);
                rank.onExit().thenAccept(ended::add);
            }
            int status = await(ranks, ended);
            return signals.map(s -> s.status(status)).orElse(status);
        } finally {
            ranks.forEach(Process::destroyForcibly);
        }
    }

    /// Once: a second one would end them at once. A terminal gives Ctrl-C to all of its processes
    /// itself.
    private void pass(int signal, List<Process> ranks) {
        if (signal != INTERRUPT || !terminal) {
            ranks.forEach(rank -> rank.toHandle().destroy()); // Process::destroy would end its input, too
        }
    }

    private int await(List<Process> ranks, LinkedBlockingQueue<Process> ended) throws InterruptedException {
        int first = 0;
        for (int left = ranks.size(); left > 0; left--) {
            if (first != 0) {
                ranks.stream().filter(LaunchCommand::isStopped).forEach(Process::destroyForcibly);
            }
            Process rank = first == 0 ? ended.take() : ended.poll(GRACE_SECONDS, TimeUnit.SECONDS);
            if (rank == null) {
                err.println(left + (left == 1 ? " rank" : " ranks") + " did not end with the others: killed");
                return first;
            }
            int status = rank.exitValue();
            if (first == 0 && status != 0) {
                first = status == 128 + 9 ? CommandLineProgram.FAILED : status; // killed; the others say so
            }
        }
        return first;
    }

    /// Whether a process was stopped, and so cannot end by itself; not known but on Linux.
    private static boolean isStopped(Process process) {
        try {
            String stat = Files.readString(Path.of("/proc/" + process.pid() + "/stat"));
            return stat.startsWith(") T", stat.lastIndexOf(')'));
        } catch (IOException gone) {
            return false;
        }
    }

    private Process start(LaunchSettings settings, List<String> arguments, int local, int port) throws IOException {
        // not inherited: it ends when this process does, and the rank with it
        ProcessBuilder builder = new ProcessBuilder(ThisProgram.command(arguments))
                .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                .redirectError(ProcessBuilder.Redirect.INHERIT);
        Map<String, String> environment = builder.environment();
        environment.keySet().removeIf(name -> name.startsWith("TORCHELASTIC_"));
        environment.putAll(Map.of(
                "RANK", "" + (settings.nodeRank() * settings.nprocPerNode() + local),
                "WORLD_SIZE", "" + settings.nnodes() * settings.nprocPerNode(),
                "LOCAL_RANK", "" + local,
                "LOCAL_WORLD_SIZE", "" + settings.nprocPerNode(),
                "MASTER_ADDR", settings.host(),
                "MASTER_PORT", "" + port,
                "SFT_ENDS_WITH_INPUT", "1"));
        return builder.start();
    }
}
