package org.sftnative.tune;

import java.util.List;
import java.util.Map;

/// Chooses the settings of trials. What it says is a function of its study's seed, the trial's number, and the trials
/// that it is shown: it keeps nothing between calls.
public interface Searcher {
    /// How many trials a study of `numSamples` samples has: more where a grid multiplies them.
    ///
    /// @throws org.sftnative.InputException if the number is not possible
    int trials(int numSamples);

    /// The settings of a trial: name to Boolean, Long, Double, String or List of these.
    ///
    /// @param trial its number, from 0
    /// @param history the study's other trials, waiting and running ones too; their order does not count
    Map<String, Object> suggest(int trial, List<Trial> history);
}
