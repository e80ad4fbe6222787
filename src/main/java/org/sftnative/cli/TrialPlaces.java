package org.sftnative.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.config.IntervalStrategy;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.config.TuneResources;
import org.sftnative.config.TuneSettings;
import org.sftnative.io.ModelDirectory;
import org.sftnative.metrics.Units;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.tune.study.Slots;
import org.sftnative.tune.study.Study;

/// How many trials run at a time, on which GPUs, with how many threads.
///
/// @param threads of a trial; 0: as its settings say
/// @param why in words
record TrialPlaces(Slots slots, int threads, String why) {
    /// What the JVM, libtorch and tokenised rows take beside the plan's bytes.
    private static final long BESIDES = 700L << 20;

    private static final int MICRO_BATCH_TOKENS = 1024;

    /// Trials whose plans are looked at: a space may vary what decides them.
    private static final int SAMPLES = 32;

    private static final Pattern AVAILABLE = Pattern.compile("(?m)^MemAvailable: +(\\d+) kB");

    /// What trials share.
    ///
    /// @param gpus names, as CUDA_VISIBLE_DEVICES has them
    record Machine(int cores, long availableBytes, List<String> gpus) {
        static Machine here() {
            return new Machine(
                    Runtime.getRuntime().availableProcessors(),
                    available(),
                    visible(Optional.ofNullable(System.getenv("CUDA_VISIBLE_DEVICES"))));
        }
    }

    /// @param located gives models of the Hub their directories
    /// @throws InputException if nothing fits
    static TrialPlaces of(
            TuneSettings settings, Study study, Machine machine, UnaryOperator<ResolvedSettings> located) {
        if (settings.resources() == TuneResources.AUTO) {
            return auto(settings, study, machine, study.samples(SAMPLES, located));
        }
        return places(settings, study, told(settings, machine), machine, "as told");
    }

    /// Places as settings ask for them, which may be known before there is a study.
    ///
    /// @throws InputException if no trial fits
    static Slots told(TuneSettings settings, Machine machine) {
        int wanted =
                settings.concurrent() > 0 ? settings.concurrent() : settings.gpusPerTrial() > 0 ? Integer.MAX_VALUE : 1;
        return Slots.of(wanted, machine.gpus(), settings.gpusPerTrial());
    }

    private static TrialPlaces auto(TuneSettings settings, Study study, Machine machine, List<RunSettings> trials) {
        boolean cpu = trials.stream().allMatch(run -> run.model().device().equals("cpu"));
        if (!cpu && !machine.gpus().isEmpty()) {
            // a micro-batch takes what its GPU has: a second trial there would find nothing left
            Slots slots = Slots.of(most(settings), machine.gpus(), Math.max(1, settings.gpusPerTrial()));
            return places(settings, study, slots, machine, "by GPUs");
        }
        long each = trials.stream().mapToLong(TrialPlaces::bytes).max().orElseThrow();
        long fit = machine.availableBytes() * 9 / 10 / each;
        int cpus = Math.max(1, settings.cpusPerTrial());
        int concurrent = (int) Math.clamp(Math.min(fit, machine.cores() / cpus), 1, most(settings));
        String why = Units.bytes(each) + " a trial, " + Units.bytes(machine.availableBytes()) + " available, "
                + machine.cores() + " cores";
        return places(settings, study, Slots.of(concurrent), machine, why);
    }

    private static int most(TuneSettings settings) {
        return settings.concurrent() > 0 ? settings.concurrent() : Integer.MAX_VALUE;
    }

    private static TrialPlaces places(TuneSettings settings, Study study, Slots slots, Machine machine, String why) {
        int threads = settings.cpusPerTrial() > 0
                ? settings.cpusPerTrial()
                : study.sets("threads") ? 0 : Math.max(1, machine.cores() / slots.size());
        String each = threads == 0 ? "" : ", " + threads + (threads == 1 ? " thread" : " threads") + " each";
        return new TrialPlaces(
                slots,
                threads,
                slots.size() + (slots.size() == 1 ? " trial" : " trials") + " at a time" + each + " (" + why + ")");
    }

    /// The memory plan of a trial on the CPU, as `info` prints it, and the copy that checkpoints are written from.
    private static long bytes(RunSettings run) {
        try (ModelDirectory directory = ModelDirectory.open(run.model().modelNameOrPath())) {
            int tokens = run.training().microBatchTokens() > 0 ? run.training().microBatchTokens() : MICRO_BATCH_TOKENS;
            MemoryEstimate plan = MemoryEstimate.of(LlamaConfig.of(directory.config()), tokens)
                    .getFirst();
            boolean saves = run.training().saveStrategy() != IntervalStrategy.NO;
            return plan.fixed() + plan.kept() + (saves ? plan.weights() + plan.optimizer() : 0) + BESIDES;
        }
    }

    private static long available() {
        try {
            Matcher matcher = AVAILABLE.matcher(Files.readString(Path.of("/proc/meminfo")));
            return matcher.find()
                    ? Long.parseLong(matcher.group(1)) << 10
                    : Runtime.getRuntime().maxMemory();
        } catch (IOException e) {
            return Runtime.getRuntime().maxMemory();
        }
    }

    /// What CUDA_VISIBLE_DEVICES has, else the machine's.
    static List<String> visible(Optional<String> variable) {
        if (variable.isPresent()) {
            return Stream.of(variable.get().split(","))
                    .map(String::strip)
                    .filter(gpu -> !gpu.isEmpty())
                    .takeWhile(gpu -> !gpu.equals("-1")) // as CUDA reads it: what follows is not seen
                    .toList();
        }
        try (Stream<Path> devices = Files.list(Path.of("/dev"))) {
            long count = devices.filter(d -> d.getFileName().toString().matches("nvidia\\d+"))
                    .count();
            return IntStream.range(0, (int) count).mapToObj(Integer::toString).toList();
        } catch (IOException e) {
            return List.of();
        }
    }
}
