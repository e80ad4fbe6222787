package org.sftnative.metrics;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/// What happens in a run, in order. The loop tells; whoever wants to know listens.
public sealed interface RunEvent {
    /// The run is about to take its first step.
    ///
    /// @param firstStep steps already done: 0, or where a resumed run goes on
    /// @param totalSteps steps when the run ends
    /// @param summary what was decided, each with its reason, in order: `precision` -> `fp32 (device cpu)`
    /// @param flopsPerToken floating-point operations that training one token of these rows takes; 0 if unknown
    /// @param peakFlops operations a second of the device's data sheet; 0 if unknown
    record Started(long firstStep, long totalSteps, Map<String, String> summary, double flopsPerToken, double peakFlops)
            implements RunEvent {
        /// On a device whose rate is unknown.
        public Started(long firstStep, long totalSteps, Map<String, String> summary) {
            this(firstStep, totalSteps, summary, 0, 0);
        }
    }

    /// An optimizer step was taken. Sent after every step; loggers decide which to print.
    ///
    /// @param step steps done, from 1
    /// @param totalSteps steps when the run ends
    /// @param epoch rows seen / rows of an epoch
    /// @param loss summed loss of the label tokens since the last logged step / their number
    /// @param gradNorm norm of the gradient before clipping, of this step
    /// @param learningRate rate that this step used
    /// @param tokens real tokens since the last logged step
    /// @param labelTokens trained positions since the last logged step
    /// @param seconds wall time since the last logged step, evaluation and saving not counted
    /// @param peakBytes most bytes in use so far: on the device with CUDA, resident in the process on a CPU
    /// @param logged whether this step is one of logging_steps; if not, the sums go on
    record StepDone(
            long step,
            long totalSteps,
            double epoch,
            double loss,
            double gradNorm,
            double learningRate,
            long tokens,
            long labelTokens,
            double seconds,
            long peakBytes,
            boolean logged)
            implements RunEvent {
        /// Real tokens a second since the last logged step.
        public double tokensPerSecond() {
            return seconds > 0 ? tokens / seconds : 0;
        }
    }

    /// How several ranks have shared the work since the last logged step.
    ///
    /// @param ranks by number
    record Shared(long step, List<Load> ranks) implements RunEvent {
        public Shared {
            ranks = List.copyOf(ranks);
        }
    }

    /// What one rank did.
    ///
    /// @param tokensPerSecond real tokens of its own part, a second of wall time
    /// @param waiting part of the time that it waited for slower ranks
    /// @param sending part of the time that it exchanged gradients and weights, and did nothing else
    record Load(double tokensPerSecond, double waiting, double sending) {}

    /// The evaluation rows were scored.
    ///
    /// @param loss summed loss / label tokens, over all evaluation rows
    record Evaluated(long step, double epoch, double loss, long labelTokens, double seconds) implements RunEvent {}

    /// A checkpoint is complete on disk.
    record Saved(long step, Path directory, double seconds) implements RunEvent {}

    /// The monitor saw what a person should look at; the run goes on as its settings say.
    ///
    /// @param kind `loss_spike`, `gradient_explosion`, `throughput_drop` or `eval_rise`
    record Alerted(long step, String kind, String message) implements RunEvent {}

    /// An answer of the model as it is now, beside the one that its rows give.
    ///
    /// @param prompt as the model sees it, cut to what a page shows
    record Sampled(long step, String prompt, String expected, String answer) implements RunEvent {}

    /// Something that a person should read, though the run goes on.
    record Warned(String message) implements RunEvent {}

    /// The run was asked to stop, and has saved.
    ///
    /// @param step steps done; 0: nothing to save
    record Stopped(long step, long totalSteps, Path output) implements RunEvent {}

    /// The run ended in a failure; whoever started it prints what.
    record Failed(String message) implements RunEvent {}

    /// The run ended well.
    ///
    /// @param tokens real tokens trained in this process
    /// @param trainLoss summed loss / label tokens over all steps of the run, those before a resume too
    record Finished(long step, long tokens, double seconds, double trainLoss, long peakBytes, Path model)
            implements RunEvent {}
}
