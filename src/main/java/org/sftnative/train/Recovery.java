package org.sftnative.train;

import java.util.Comparator;
import java.util.Map;
import org.sftnative.data.MicroBatch;
import org.sftnative.data.Step;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.tensor.TorchErrors;

/// What the loop does about a step that went wrong: too little memory, numbers that are none, spikes.
///
/// @param limit most rollbacks of a run
/// @param totalSteps of the whole run
/// @param world whose ranks come to the same end
record Recovery(TrainLoop.Hooks hooks, RunListener listener, int limit, long totalSteps, World world) {
    /// Updates skipped in a row after which a run is lost.
    static final int MAX_SKIPPED = 3;

    /// Steps within which a spike is taken to have the cause of the one before.
    private static final long SOON = 16;

    /// The tokens of the largest micro-batch of a step whose forward or backward pass failed for lack
    /// of memory: too many, if there is anything to halve.
    ///
    /// @throws RuntimeException the failure, if trying again would not help
    static int tooLarge(Step step, RuntimeException failure) {
        if (!TorchErrors.isOutOfMemory(failure)) {
            throw failure;
        }
        MicroBatch largest = step.microBatches().stream()
                .max(Comparator.comparingInt(MicroBatch::tokens))
                .orElseThrow(() -> failure);
        if (largest.cuSeqlens().length <= 2) {
            throw failure; // one row is never split
        }
        return largest.tokens();
    }

    /// The tokens of a micro-batch with which a step is tried again.
    ///
    /// @param index the step's, from 0
    int smaller(int tooLarge, long index) {
        int tokens = tooLarge / 2;
        listener.on(new RunEvent.Warned("step " + (index + 1) + ": no memory for a micro-batch of " + tooLarge
                + " tokens: the step is repeated, and from here on micro-batches have up to " + tokens
                + "\n  --micro-batch-tokens " + tokens + " would begin with that"));
        return tokens;
    }

    /// Does a part of the optimizer's work. A failure for lack of memory loses the run: weights may be updated in
    /// part, so that there is nothing to repeat.
    ///
    /// @param index the step's, from 0
    void updating(long index, Runnable work) {
        try {
            work.run();
        } catch (RuntimeException e) {
            if (!TorchErrors.isOutOfMemory(e)) {
                throw e;
            }
            throw new RunLostException(
                    "step " + (index + 1) + ": out of memory in the optimizer's update, which cannot be repeated"
                            + goOn() + "\n  need less: a smaller --micro-batch-tokens, --gradient-checkpointing",
                    e);
        }
    }

    /// Goes back to the last good checkpoint, and leaves out the rows of the step at fault. Should that not help, and a
    /// spike follow soon after, the steps right before it are suspected too, one more each time.
    ///
    /// @return the state to go on from
    /// @throws DivergedException if the run went back too often already
    RunState rollBack(RunState state, String why) {
        String what = "step " + (state.step() + 1) + ": " + why;
        SpikeState spikes = state.spikes();
        if (spikes.rollbacks() >= limit) {
            throw new DivergedException(what + "\n  after " + spikes.rollbacks()
                    + " rollbacks (--spike-limit), the run has diverged" + world.first(goOn())
                    + "\n  try a lower learning rate, or --on-spike warn");
        }
        RunState back = hooks.rollBack(state);
        long soon = spikes.leftOut().stream()
                .filter(step -> step >= state.step() - SOON)
                .count();
        long from = Math.max(back.step(), state.step() - soon);
        String which = from == state.step() ? "its rows" : "the rows of steps " + (from + 1) + " to it";
        listener.on(new RunEvent.Started(
                back.step(), totalSteps, Map.of("rolled back", what + "; " + which + " are left out")));
        listener.on(SpikeGuard.alert(state.step() + 1, why + "; the run goes on from step " + back.step()));
        return back.withSpikes(back.spikes().rolledBack(back.step(), spikes, from, state.step()))
                .withMicroBatchTokens(state.microBatchTokens());
    }

    /// Tells of an update that was skipped since loss or gradient were not finite.
    ///
    /// @param state after the step
    /// @throws DivergedException if it was the third in a row
    void skipped(RunState state, double loss, double gradNorm) {
        String what =
                "step " + state.step() + ": loss " + loss + ", gradient norm " + gradNorm + ", the update was skipped";
        listener.on(new RunEvent.Warned(what));
        if (state.skipped() >= MAX_SKIPPED) {
            throw new DivergedException(what + "\n  that was the third in a row: the run has diverged"
                    + world.first(goOn()) + "\n  try a lower learning rate");
        }
    }

    /// Waits for a checkpoint that is being written. What rank 0 says of it is for all, so that none of them ends
    /// before it is there.
    private String goOn() {
        return hooks.lastGood()
                .map(path -> "\n  the last good checkpoint is " + path + ": go on from it with --resume " + path)
                .orElse("\n  there is no checkpoint to go on from: with --save-steps there is one for --resume");
    }
}
