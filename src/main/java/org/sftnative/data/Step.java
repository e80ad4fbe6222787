package org.sftnative.data;

import java.util.List;

/// The rows of one optimizer step, cut into micro-batches. The gradient does not depend on the cut:
/// every micro-batch's summed loss is divided by this step's label tokens.
///
/// @param microBatches in order of training, none of them empty; of several ranks, this one's, which
///     may be none at all
/// @param rows rows of this step, all ranks'
/// @param tokens tokens of this step, all ranks'
/// @param labelTokens trained positions of this step, all ranks': the denominator of its loss; at least
///     1
public record Step(List<MicroBatch> microBatches, int rows, int tokens, int labelTokens) {}
