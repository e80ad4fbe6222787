package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;

/// A micro-batch on the device of the model. T tokens, N of them with a target.
///
/// @param inputIds (T) int64
/// @param positions (T) int64, from 0 in each document
/// @param labelRows (N) int64: the positions that have a target, ascending
/// @param targets (N) int64: what they predict
/// @param cuSeqlens (documents + 1) first position of each document, then T; on the host
public record PackedBatch(Tensor inputIds, Tensor positions, Tensor labelRows, Tensor targets, int[] cuSeqlens) {
    /// T, tokens of the batch.
    public int tokens() {
        return cuSeqlens[cuSeqlens.length - 1];
    }

    /// N, positions with a target.
    public long labelTokens() {
        return targets.size(0);
    }
}
