package org.sftnative.train;

/// Where a run stands between two steps: all that the loop itself remembers, beside weights and optimizer.
///
/// @param step optimizer steps done
/// @param tokens real tokens trained since the run began
/// @param labelTokens trained positions since the run began
/// @param lossSum summed loss since the run began
/// @param sinceLog the same since the last logged step
/// @param skipped updates skipped in a row because loss or gradient was not finite
public record RunState(long step, long tokens, long labelTokens, double lossSum, SinceLog sinceLog, int skipped) {
    /// Before the first step.
    public static final RunState START = new RunState(0, 0, 0, 0, SinceLog.NOTHING, 0);

    /// What has happened since the last logged step.
    ///
    /// @param lossSum summed loss
    /// @param labelTokens trained positions
    /// @param tokens real tokens
    public record SinceLog(double lossSum, long labelTokens, long tokens) {
        public static final SinceLog NOTHING = new SinceLog(0, 0, 0);
    }

    /// After one more step.
    RunState plus(long stepTokens, long stepLabelTokens, double stepLossSum, boolean updated) {
        return new RunState(
                step + 1,
                tokens + stepTokens,
                labelTokens + stepLabelTokens,
                lossSum + stepLossSum,
                new SinceLog(
                        sinceLog.lossSum + stepLossSum,
                        sinceLog.labelTokens + stepLabelTokens,
                        sinceLog.tokens + stepTokens),
                updated ? 0 : skipped + 1);
    }

    /// After a logged step.
    RunState logged() {
        return new RunState(step, tokens, labelTokens, lossSum, SinceLog.NOTHING, skipped);
    }

    /// Summed loss / label tokens, since the run began.
    public double meanLoss() {
        return labelTokens == 0 ? 0 : lossSum / labelTokens;
    }
}
