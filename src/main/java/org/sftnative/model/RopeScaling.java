package org.sftnative.model;

/// How rotary frequencies are stretched beyond the length that a model was pretrained at.
/// Source of the formulas: transformers' `modeling_rope_utils`; NTK-aware scaling for [Dynamic].
public sealed interface RopeScaling {
    /// Frequencies as they are.
    record Default() implements RopeScaling {}

    /// Every frequency divided by the factor.
    record Linear(double factor) implements RopeScaling {}

    /// The base grows with the document's own length L once that is above `maxPositionEmbeddings`:
    /// theta' = theta * ((factor * L / max) - (factor - 1)) ^ (dim / (dim - 2)).
    record Dynamic(double factor, int maxPositionEmbeddings) implements RopeScaling {}

    /// Llama 3.1: long wavelengths divided by the factor, short ones kept, a ramp between.
    record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalMaxPositionEmbeddings)
            implements RopeScaling {}
}
