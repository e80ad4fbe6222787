package org.sftnative.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.config.IntervalStrategy;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
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
    private static final Pattern AVAILABLE = Pattern.compile("(?m)^MemAvailable: +(\\d+) kB");

    /// @throws InputException if nothing fits
    static TrialPlaces of(TuneSettings settings, Study study) {
        int cores = Runtime.getRuntime().availableProcessors();
        if (settings.resources() == TuneResources.AUTO) {
            return auto(settings, study, cores);
        }
        List<String> gpus = settings.gpusPerTrial() > 0 ? gpus() : List.of();
        int wanted =
                settings.concurrent() > 0 ? settings.concurrent() : settings.gpusPerTrial() > 0 ? Integer.MAX_VALUE : 1;
        Slots slots = Slots.of(wanted, gpus, settings.gpusPerTrial());
        return places(settings, study, slots, cores, "as told");
    }

    private static TrialPlaces auto(TuneSettings settings, Study study, int cores) {
        RunSettings run = CommandLineProgram.TRAIN.bind(CommandLineProgram.TRAIN.resolve(
                study.shared(), List.of(new SettingValue("output_dir", List.of("out"), "tune"))));
        List<String> gpus = run.model().device().equals("cpu") ? List.of() : gpus();
        if (!gpus.isEmpty()) {
            // a micro-batch takes what its GPU has: a second trial there would find nothing left
            Slots slots = Slots.of(most(settings), gpus, 1);
            return places(settings, study, slots, cores, "one for each GPU");
        }
        long each = bytes(run);
        long available = available();
        long fit = available * 9 / 10 / each;
        int cpus = Math.max(1, settings.cpusPerTrial());
        int concurrent = (int) Math.clamp(Math.min(fit, cores / cpus), 1, most(settings));
        String why = Units.bytes(each) + " a trial, " + Units.bytes(available) + " available, " + cores + " cores";
        return places(settings, study, Slots.of(concurrent), cores, why);
    }

    private static int most(TuneSettings settings) {
        return settings.concurrent() > 0 ? settings.concurrent() : Integer.MAX_VALUE;
    }

    private static TrialPlaces places(TuneSettings settings, Study study, Slots slots, int cores, String why) {
        int threads = settings.cpusPerTrial() > 0
                ? settings.cpusPerTrial()
                : study.sets("threads") ? 0 : Math.max(1, cores / slots.size());
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
    private static List<String> gpus() {
        Optional<String> visible = Optional.ofNullable(System.getenv("CUDA_VISIBLE_DEVICES"));
        if (visible.isPresent()) {
            return Stream.of(visible.get().split(",")).filter(g -> !g.isBlank()).toList();
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
