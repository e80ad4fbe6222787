package org.sftnative.config;

import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;

/// Steps, optimizer, schedule, and when to log, evaluate and save; names and meanings are transformers'
/// TrainingArguments'.
public record TrainingSettings(
        @Setting(doc = "where the model, checkpoints and logs go", required = true)
        Path outputDir,

        @Setting(doc = "write into an output directory that is not empty", value = "false")
        boolean overwriteOutputDir,

        @Setting(doc = "rows of a batch of each rank", value = "4", aliases = "batch_size")
        int perDeviceTrainBatchSize,

        @Setting(doc = "batches of a step: a step is batch x accumulation x ranks rows", value = "4")
        int gradientAccumulationSteps,

        @Setting(
                doc =
                        "tokens of a micro-batch, never splitting a row; 0: 1024 on a CPU (reference engine 2048), what fits on CUDA",
                value = "0")
        int microBatchTokens,

        @Setting(
                doc = "auto, fused (written-out backward) or reference (libtorch autograd, slower, easy to change)",
                value = "auto")
        EngineChoice engine,

        @Setting(
                doc = "recompute activations in the backward pass: less memory, about a third more time",
                value = "false")
        boolean gradientCheckpointing,

        @Setting(
                doc = "what the fused engine recomputes: auto, none, selective, full-keep-attention, full,"
                        + " or offload (full, with blocks' inputs in host memory)",
                value = "auto")
        RecomputeChoice recompute,

        @Setting(doc = "how bf16 weights stay exact: split, stochastic (CUDA) or none", value = "split")
        MasterChoice masters,

        @Setting(doc = "AdamW's moments: auto, fp32, bf16 (CUDA) or block8 (CUDA)", value = "auto")
        MomentChoice moments,

        @Setting(
                doc =
                        "keep the optimizer's state in the host's memory: room on the card, slower updates, the same numbers",
                value = "false")
        boolean offloadOptimizer,

        @Setting(doc = "passes over the rows; fractions too", value = "3", aliases = "epochs")
        double numTrainEpochs,

        @Setting(doc = "stop after this many steps, whatever the epochs; -1: no limit", value = "-1")
        int maxSteps,

        @Setting(doc = "peak learning rate", value = "2e-5", aliases = "lr")
        double learningRate,

        @Setting(doc = "AdamW's decoupled weight decay; norms and biases are spared", value = "0")
        double weightDecay,

        @Setting(doc = "AdamW's beta 1", value = "0.9") double adamBeta1,
        @Setting(doc = "AdamW's beta 2", value = "0.999") double adamBeta2,
        @Setting(doc = "AdamW's epsilon", value = "1e-8") double adamEpsilon,

        @Setting(doc = "gradients are scaled down to this norm; 0: never", value = "1.0")
        double maxGradNorm,

        @Setting(doc = "NEFTune: noise on the embeddings while training; 5 to 15 is usual, 0: none", value = "0")
        double neftuneNoiseAlpha,

        @Setting(doc = "linear, cosine, cosine_with_min_lr, constant or constant_with_warmup", value = "cosine")
        LrSchedulerType lrSchedulerType,

        @Setting(doc = "steps of linear warm-up; below 1: a part of all steps; wins over warmup_ratio")
        Optional<Double> warmupSteps,

        @Setting(doc = "part of all steps that warms up, unless warmup_steps is given", value = "0.03")
        double warmupRatio,

        @Setting(doc = "cosine_with_min_lr: the last learning rate, as a part of the peak", value = "0.1")
        double minLrRate,

        @Setting(doc = "log every this many steps", value = "10")
        int loggingSteps,

        @Setting(
                doc = "no, steps or epoch; without evaluation rows nothing is evaluated",
                value = "epoch",
                aliases = "evaluation_strategy")
        IntervalStrategy evalStrategy,

        @Setting(doc = "evaluate every this many steps; 0: logging_steps", value = "0")
        int evalSteps,

        @Setting(doc = "no, steps or epoch", value = "steps")
        IntervalStrategy saveStrategy,

        @Setting(doc = "save a checkpoint every this many steps", value = "100")
        int saveSteps,

        @Setting(doc = "checkpoints kept; 0: all", value = "2")
        int saveTotalLimit,

        @Setting(doc = "save when the last checkpoint is this old, too: 30m, 2h, 90s; 0: never", value = "0")
        String saveOnTime,

        @Setting(doc = "end with the weights of the best checkpoint: see metric_for_best_model", value = "false")
        boolean loadBestModelAtEnd,

        @Setting(doc = "what makes an evaluation the best: eval_loss or eval_perplexity", value = "eval_loss")
        String metricForBestModel,

        @Setting(doc = "whether the highest metric_for_best_model is the best; by default the lowest is")
        Optional<Boolean> greaterIsBetter,

        @Setting(
                doc = "go on from a checkpoint directory, or 'latest': the newest that is whole",
                aliases = "resume",
                bare = "latest")
        Optional<String> resumeFromCheckpoint,

        @Setting(doc = "go on though rows, seed or what a step is differ from the checkpoint's", value = "false")
        boolean allowChanged,

        @Setting(doc = "seed of the order of rows, and of stochastic rounding", value = "42")
        long seed) {
    public TrainingSettings {
        Check.that(perDeviceTrainBatchSize >= 1, "per_device_train_batch_size", perDeviceTrainBatchSize, "1 or more");
        Check.that(
                gradientAccumulationSteps >= 1, "gradient_accumulation_steps", gradientAccumulationSteps, "1 or more");
        if ((long) perDeviceTrainBatchSize * gradientAccumulationSteps > Integer.MAX_VALUE) {
            throw new InputException("a step of " + perDeviceTrainBatchSize + " x " + gradientAccumulationSteps
                    + " rows is more than " + Integer.MAX_VALUE
                    + "\n  choose a smaller per_device_train_batch_size or gradient_accumulation_steps");
        }
        Check.that(microBatchTokens >= 0, "micro_batch_tokens", microBatchTokens, "0 or more");
        Check.that(
                numTrainEpochs > 0 && Double.isFinite(numTrainEpochs), "num_train_epochs", numTrainEpochs, "above 0");
        Check.that(maxSteps == -1 || maxSteps >= 1, "max_steps", maxSteps, "-1 or at least 1");
        Check.that(learningRate >= 0 && learningRate < 10, "learning_rate", learningRate, "from 0 to 10");
        Check.that(weightDecay >= 0 && weightDecay < 1, "weight_decay", weightDecay, "from 0 to below 1");
        Check.that(adamBeta1 >= 0 && adamBeta1 < 1, "adam_beta1", adamBeta1, "from 0 to below 1");
        Check.that(adamBeta2 >= 0 && adamBeta2 < 1, "adam_beta2", adamBeta2, "from 0 to below 1");
        Check.that(adamEpsilon > 0 && adamEpsilon < 1, "adam_epsilon", adamEpsilon, "above 0 and below 1");
        Check.that(maxGradNorm >= 0 && Double.isFinite(maxGradNorm), "max_grad_norm", maxGradNorm, "0 or more");
        Check.that(
                neftuneNoiseAlpha >= 0 && neftuneNoiseAlpha <= 1000,
                "neftune_noise_alpha",
                neftuneNoiseAlpha,
                "from 0 to 1000");
        if (warmupSteps.isPresent()) {
            double steps = warmupSteps.get();
            // transformers would cut 1.5 to 1 without a word
            Check.that(
                    steps >= 0 && (steps < 1 || steps == Math.rint(steps)) && steps <= Integer.MAX_VALUE,
                    "warmup_steps",
                    steps,
                    "a whole number of steps, or from 0 to below 1 for a part of all steps");
        }
        Check.that(warmupRatio >= 0 && warmupRatio <= 1, "warmup_ratio", warmupRatio, "from 0 to 1");
        Check.that(minLrRate >= 0 && minLrRate <= 1, "min_lr_rate", minLrRate, "from 0 to 1");
        Check.that(loggingSteps >= 1, "logging_steps", loggingSteps, "1 or more");
        Check.that(evalSteps >= 0, "eval_steps", evalSteps, "0 or more");
        Check.that(saveSteps >= 1, "save_steps", saveSteps, "1 or more");
        Check.nanos("save_on_time", saveOnTime);
        Check.that(
                metricForBestModel.matches("(eval_)?(loss|perplexity)"),
                "metric_for_best_model",
                "'" + metricForBestModel + "'",
                "eval_loss or eval_perplexity");
        if (loadBestModelAtEnd && (evalStrategy == IntervalStrategy.NO || saveStrategy == IntervalStrategy.NO)) {
            throw new InputException("load_best_model_at_end needs evaluations and checkpoints"
                    + "\n  set eval_strategy and save_strategy to the same, steps or epoch");
        }
        Check.that(saveTotalLimit >= 0, "save_total_limit", saveTotalLimit, "0 or more");
    }

    /// Steps of linear warm-up in a run of `totalSteps`: `warmup_steps` if given, else `warmup_ratio` of the run,
    /// a part of the run rounded up, as transformers' `TrainingArguments.get_warmup_steps` does.
    public long warmupSteps(long totalSteps) {
        double warmup = warmupSteps.orElse(warmupRatio);
        boolean part = warmup < 1 || warmupSteps.isEmpty();
        return part ? (long) Math.ceil(totalSteps * warmup) : (long) warmup;
    }

    /// Most nanoseconds between two checkpoints; 0: no limit.
    public long saveOnTimeNanos() {
        return Check.nanos("save_on_time", saveOnTime);
    }

    /// Steps between evaluations when `eval_strategy` is `steps`.
    public int evalEverySteps() {
        return evalSteps == 0 ? loggingSteps : evalSteps;
    }

    /// Rows of an optimizer step of one process.
    public int rowsPerStep() {
        return rowsPerStep(1);
    }

    /// Rows of an optimizer step: batch x accumulation x ranks, as transformers has it.
    public int rowsPerStep(int ranks) {
        return Math.multiplyExact(perDeviceTrainBatchSize * gradientAccumulationSteps, ranks);
    }
}
