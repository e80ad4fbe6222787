/// Hyper-parameter search. A [SearchSpace] says which settings vary; a [Searcher] chooses the settings of each trial; a
/// [Scheduler] decides from what trials report which of them stop early. All three are functions of the study's seed
/// and its log of [StudyEvent]s, so that a study can be replayed, and go on, from the log alone.
package org.sftnative.tune;
