package org.sftnative.train;

import org.sftnative.config.TrainingSettings;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.LossFunction;
import org.sftnative.optim.Schedule;

/// The parts of a run that settings cannot say: what is minimised, and the learning rate of every step.
/// `docs/LOOP.md` shows how to replace them.
///
/// @param loss the objective, summed over label rows
/// @param rates makes the schedule of a run
public record Recipe(LossFunction loss, Rates rates) {
    /// Supervised fine-tuning as the settings describe it: cross-entropy, and the schedule of `lr_scheduler_type`.
    public static final Recipe STANDARD = new Recipe(new CrossEntropy(), Training::schedule);

    /// Makes the schedule of a run.
    @FunctionalInterface
    public interface Rates {
        /// @param totalSteps optimizer steps of the whole run
        Schedule of(TrainingSettings settings, long totalSteps);
    }

    /// This recipe with another objective.
    public Recipe withLoss(LossFunction other) {
        return new Recipe(other, rates);
    }

    /// This recipe with another schedule.
    public Recipe withRates(Rates other) {
        return new Recipe(loss, other);
    }
}
