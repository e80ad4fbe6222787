package org.sftnative.config;

import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;

/// What `tune` is told: names are Ray Tune's where it has one.
public record TuneSettings(
        @Setting(doc = "the study's directory: trials, study.db, best.yaml, study.html")
        Optional<Path> outputDir,

        @Setting(doc = "settings that all trials share: a file as train --config takes")
        Optional<Path> config,

        @Setting(doc = "what varies, and how: --example prints one")
        Optional<Path> space,

        @Setting(doc = "trials; with a grid, trials of each of its cells", value = "10")
        int numSamples,

        @Setting(doc = "what trials are judged by: a key of metrics.jsonl", value = "eval_loss")
        String metric,

        @Setting(doc = "min or max: whether lower or higher is better", value = "min")
        TuneMode mode,

        @Setting(doc = "random, grid or tpe", value = "random")
        TuneSearcher searcher,

        @Setting(doc = "asha, median or none: what stops weak trials early", value = "asha")
        TuneScheduler scheduler,

        @Setting(doc = "what a trial's age is counted in: epoch, step or tokens", value = "epoch")
        TuneTime timeAttr,

        @Setting(doc = "age before which no trial is stopped", value = "1")
        double gracePeriod,

        @Setting(doc = "ASHA: one of so many trials goes on at each rung", value = "4")
        double reductionFactor,

        @Setting(doc = "ASHA: age at which every trial is stopped", value = "100")
        double maxT,

        @Setting(doc = "ASHA: brackets, each with a later first rung", value = "1")
        int brackets,

        @Setting(doc = "ASHA: stop trials at max_t, too", value = "true")
        boolean stopLastTrials,

        @Setting(doc = "seed of the trials' settings", value = "42", aliases = "study_seed")
        long seed,

        @Setting(doc = "trials at a time on this machine; 0: one, or one for each place that has GPUs", value = "0")
        int concurrent,

        @Setting(doc = "GPUs of a trial (CUDA_VISIBLE_DEVICES); 0.5: two trials share one", value = "0")
        double gpusPerTrial,

        @Setting(doc = "threads of a trial; 0: the cores, shared by the trials at a time", value = "0")
        int cpusPerTrial,

        @Setting(doc = "given, or auto: as many trials at a time as memory and cores have room for", value = "given")
        TuneResources resources,

        @Setting(doc = "go on with the study that is there", value = "false")
        boolean resume,

        @Setting(doc = "keep every trial's weights, not only the best's", value = "false")
        boolean keepAll,

        @Setting(
                doc =
                        "where the study is stored: jdbc:postgresql://HOST/DB?user=U for several machines; default: study.db")
        Optional<String> storage,

        @Setting(doc = "the study's name in its storage; default: the directory's name")
        Optional<String> studyName,

        @Setting(doc = "work on a study of --storage that another process began", value = "false")
        boolean worker,

        @Setting(doc = "a worker that is silent for so long loses its trials to others", value = "60s")
        String lease,

        @Setting(doc = "how long a storage may not answer", value = "2m")
        String storageTimeout,

        @Setting(doc = "how long a trial that is asked to stop may take to save, before SIGTERM", value = "1m")
        String stopGrace) {
    public TuneSettings {
        Check.that(numSamples >= 1, "num_samples", numSamples, "1 or more");
        Check.that(gracePeriod > 0 && Double.isFinite(gracePeriod), "grace_period", gracePeriod, "above 0");
        Check.that(
                reductionFactor > 1 && Double.isFinite(reductionFactor),
                "reduction_factor",
                reductionFactor,
                "above 1");
        Check.that(maxT >= gracePeriod && Double.isFinite(maxT), "max_t", maxT, "grace_period or more");
        Check.that(brackets >= 1 && brackets <= 100, "brackets", brackets, "from 1 to 100");
        Check.that(concurrent >= 0 && concurrent <= 1000, "concurrent", concurrent, "from 0 to 1000");
        Check.that(
                gpusPerTrial >= 0
                        && gpusPerTrial <= 64
                        && (gpusPerTrial < 1 || gpusPerTrial == Math.rint(gpusPerTrial)),
                "gpus_per_trial",
                gpusPerTrial,
                "a whole number, or from 0 to below 1");
        Check.that(cpusPerTrial >= 0 && cpusPerTrial <= 1024, "cpus_per_trial", cpusPerTrial, "from 0 to 1024");
        Check.that(
                Check.nanos("lease", lease) >= 2_000_000_000L,
                "lease",
                lease,
                "2s or more: a worker shows life 4 times");
        Check.nanos("storage_timeout", storageTimeout);
        Check.nanos("stop_grace", stopGrace);
        if (worker && storage.isEmpty()) {
            throw new InputException(
                    "--worker works on a study in a database\n  give its --storage jdbc:postgresql://host/database");
        }
        if (!worker && outputDir.isEmpty()) {
            throw new InputException("a setting is missing\n  --output-dir: the study's directory");
        }
        if (!worker && !resume && (config.isEmpty() || space.isEmpty())) {
            throw new InputException((config.isEmpty() ? "--config is" : "--space is") + " missing\n  "
                    + (config.isEmpty()
                            ? "it names the settings that all trials share, a file as train --config takes"
                            : "it names the file that says what varies: sft-native tune --example prints one"));
        }
    }

    /// The lease in milliseconds.
    public long leaseMs() {
        return Check.nanos("lease", lease) / 1_000_000;
    }

    /// How long a storage may not answer, in milliseconds.
    public long storageTimeoutMs() {
        return Check.nanos("storage_timeout", storageTimeout) / 1_000_000;
    }

    /// The grace of a trial that is asked to stop, in seconds.
    public long stopGraceSeconds() {
        return Check.nanos("stop_grace", stopGrace) / 1_000_000_000;
    }
}
