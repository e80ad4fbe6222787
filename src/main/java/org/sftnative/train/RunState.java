package org.sftnative.train;

/// Where a run stands between two steps: all that the loop itself remembers, beside weights and optimizer.
///
/// @param step optimizer steps done
/// @param tokens real tokens trained since the run began
/// @param labelTokens trained positions since the run began
/// @param lossSum summed loss since the run began
/// @param sinceLog the same since the last logged step
/// @param skipped updates skipped in a row because loss or gradient was not finite
/// @param microBatchTokens most tokens of a micro-batch, found when memory ran out; 0: as set
/// @param spikes what is remembered of loss and gradient
public record RunState(
        long step,
        long tokens,
        long labelTokens,
        double lossSum,
        SinceLog sinceLog,
        int skipped,
        int microBatchTokens,
        SpikeState spikes) {
    /// Before the first step.
    public static final RunState START = new RunState(0, 0, 0, 0, SinceLog.NOTHING, 0, 0, SpikeState.START);

    /// What has happened since the last logged step.
    ///
    /// @param lossSum summed loss
    /// @param labelTokens trained positions
    /// @param tokens real tokens
    public record SinceLog(double lossSum, long labelTokens, long tokens) {
        public static final SinceLog NOTHING = new SinceLog(0, 0, 0);
    }

    /// After one more step.
    RunState plus(long stepTokens, long stepLabelTokens, double stepLossSum, boolean finite, SpikeState after) {
        return new RunState(
                step + 1,
                tokens + stepTokens,
                labelTokens + stepLabelTokens,
                lossSum + stepLossSum,
                new SinceLog(
                        sinceLog.lossSum + stepLossSum,
                        sinceLog.labelTokens + stepLabelTokens,
                        sinceLog.tokens + stepTokens),
                finite ? 0 : skipped + 1,
                microBatchTokens,
                after);
    }

    /// After a step whose rows are left out.
    RunState passed() {
        return new RunState(step + 1, tokens, labelTokens, lossSum, sinceLog, skipped, microBatchTokens, spikes);
    }

    /// After a logged step.
    RunState logged() {
        return new RunState(step, tokens, labelTokens, lossSum, SinceLog.NOTHING, skipped, microBatchTokens, spikes);
    }

    RunState withMicroBatchTokens(int found) {
        return new RunState(step, tokens, labelTokens, lossSum, sinceLog, skipped, found, spikes);
    }

    RunState withSpikes(SpikeState other) {
        return new RunState(step, tokens, labelTokens, lossSum, sinceLog, skipped, microBatchTokens, other);
    }

    /// Summed loss / label tokens, since the run began.
    public double meanLoss() {
        return labelTokens == 0 ? 0 : lossSum / labelTokens;
    }
}
