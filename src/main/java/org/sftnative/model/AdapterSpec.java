package org.sftnative.model;

/// The adapter of one linear layer: y = W x + scaling * B A x; with DoRA each row of the sum is scaled to a trained
/// magnitude.
///
/// @param module `model.layers.3.self_attn.q_proj`
/// @param layer 3
/// @param projection which of the layer's matrices
/// @param in columns of W and A
/// @param out rows of W and B
/// @param rank r: rows of A, columns of B
/// @param scaling alpha / r, or alpha / sqrt(r)
/// @param dora whether it has magnitudes
public record AdapterSpec(
        String module, int layer, Projection projection, long in, long out, int rank, double scaling, boolean dora) {
    /// What PEFT puts before the names of the model that it wraps.
    public static final String PREFIX = "base_model.model.";

    /// The name of A (r, in) in an adapter file.
    public String a() {
        return PREFIX + module + ".lora_A.weight";
    }

    /// The name of B (out, r) in an adapter file.
    public String b() {
        return PREFIX + module + ".lora_B.weight";
    }

    /// The name of the magnitudes (out) in an adapter file; only with DoRA.
    public String magnitude() {
        return PREFIX + module + ".lora_magnitude_vector";
    }

    /// The name of W in the model.
    public String weight() {
        return module + ".weight";
    }
}
