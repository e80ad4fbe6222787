package org.sftnative.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/// Where each weight of a model lies in the flat buffers: those that weight decay touches first, then norms and biases.
/// Tensors that one GEMM reads together (q, k, v; gate, up) lie side by side without a gap; every such group, and every
/// tensor that stands alone, starts at a multiple of 256 bytes. Offsets are elements, 64-bit.
///
/// C hidden, F ffn, V vocabulary, Q = H * D query width, R = K * D kv width.
///
/// @param slots in the order of the buffer
/// @param numel elements of the buffer, gaps included
/// @param decayed elements of the first part, which weight decay touches
public record ParameterLayout(SequencedMap<String, Slot> slots, long numel, long decayed) {
    /// Elements between starts of groups: 256 bytes of the narrowest dtype that weights have, 2 bytes.
    private static final int ALIGNMENT = 128;

    /// One weight.
    ///
    /// @param name as in the Hugging Face checkpoint
    /// @param shape in elements
    /// @param offset first element in the flat buffer
    /// @param decay whether weight decay touches it: matrices yes, norms and biases no
    public record Slot(String name, long[] shape, long offset, boolean decay) {
        public long numel() {
            long n = 1;
            for (long d : shape) {
                n *= d;
            }
            return n;
        }
    }

    /// The weights of a model, in layer order.
    public static ParameterLayout of(LlamaConfig c) {
        Builder b = new Builder();
        long C = c.hiddenSize();
        long F = c.intermediateSize();
        long V = c.vocabSize();
        long Q = c.qSize();
        long R = c.kvSize();
        b.add("model.embed_tokens.weight", V, C);
        for (int i = 0; i < c.nLayer(); i++) {
            String attention = "model.layers." + i + ".self_attn.";
            String mlp = "model.layers." + i + ".mlp.";
            b.add(attention + "q_proj.weight", Q, C);
            b.join(attention + "k_proj.weight", R, C);
            b.join(attention + "v_proj.weight", R, C);
            b.add(attention + "o_proj.weight", C, Q);
            b.add(mlp + "gate_proj.weight", F, C);
            b.join(mlp + "up_proj.weight", F, C);
            b.add(mlp + "down_proj.weight", C, F);
        }
        if (!c.tieWordEmbeddings()) {
            b.add("lm_head.weight", V, C);
        }
        b.align();
        long decayed = b.end;
        for (int i = 0; i < c.nLayer(); i++) {
            String layer = "model.layers." + i + ".";
            b.add(layer + "input_layernorm.weight", C);
            b.add(layer + "post_attention_layernorm.weight", C);
            if (c.qkvBias()) {
                b.add(layer + "self_attn.q_proj.bias", Q);
                b.join(layer + "self_attn.k_proj.bias", R);
                b.join(layer + "self_attn.v_proj.bias", R);
            }
            if (c.outBias()) {
                b.add(layer + "self_attn.o_proj.bias", C);
            }
            if (c.mlpBias()) {
                b.add(layer + "mlp.gate_proj.bias", F);
                b.join(layer + "mlp.up_proj.bias", F);
                b.add(layer + "mlp.down_proj.bias", C);
            }
        }
        b.add("model.norm.weight", C);
        b.align();
        SequencedMap<String, Slot> slots = new LinkedHashMap<>();
        b.slots.forEach(s -> slots.put(s.name, s));
        return new ParameterLayout(slots, b.end, decayed);
    }

    /// Weights of the model, without the gaps.
    public long parameterCount() {
        return slots.values().stream().mapToLong(Slot::numel).sum();
    }

    private static final class Builder {
        private final List<Slot> slots = new ArrayList<>();
        private long end;

        void add(String name, long... shape) {
            align();
            join(name, shape);
        }

        void join(String name, long... shape) {
            Slot slot = new Slot(name, shape, end, shape.length > 1);
            slots.add(slot);
            end = Math.addExact(end, slot.numel());
        }

        void align() {
            end = Math.ceilDiv(end, ALIGNMENT) * ALIGNMENT;
        }
    }
}
