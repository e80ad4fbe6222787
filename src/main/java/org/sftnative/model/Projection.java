package org.sftnative.model;

/// The seven matrices of a block, in the order of the flat buffer.
public enum Projection {
    Q("self_attn.q_proj"),
    K("self_attn.k_proj"),
    V("self_attn.v_proj"),
    O("self_attn.o_proj"),
    GATE("mlp.gate_proj"),
    UP("mlp.up_proj"),
    DOWN("mlp.down_proj");

    private final String path;

    Projection(String path) {
        this.path = path;
    }

    /// `model.layers.3.self_attn.q_proj`.
    public String module(int layer) {
        return "model.layers." + layer + "." + path;
    }

    /// The first of those that read the same input: q, k, v the normalised x, gate and up the normalised h.
    public Projection input() {
        return switch (this) {
            case Q, K, V -> Q;
            case GATE, UP -> GATE;
            default -> this;
        };
    }

    /// Rows of the matrix.
    public long out(LlamaConfig c) {
        return switch (this) {
            case Q -> c.qSize();
            case K, V -> c.kvSize();
            case GATE, UP -> c.intermediateSize();
            case O, DOWN -> c.hiddenSize();
        };
    }

    /// Columns of the matrix.
    public long in(LlamaConfig c) {
        return switch (this) {
            case O -> c.qSize();
            case DOWN -> c.intermediateSize();
            default -> c.hiddenSize();
        };
    }
}
