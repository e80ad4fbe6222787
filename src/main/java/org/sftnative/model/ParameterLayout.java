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
        return of(c, true);
    }

    /// The same without the blocks' matrices, which [PackedMatrices] hold.
    public static ParameterLayout withoutProjections(LlamaConfig c) {
        return of(c, false);
    }

    private static ParameterLayout of(LlamaConfig c, boolean projections) {
        Builder b = new Builder();
        long C = c.hiddenSize();
        long F = c.intermediateSize();
        long V = c.vocabSize();
        long Q = c.qSize();
        long R = c.kvSize();
        b.add("model.embed_tokens.weight", V, C);
        for (int i = 0; projections && i < c.nLayer(); i++) {
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
        return b.layout(decayed);
    }

    /// What adapters train, decayed first: every A (those that read the same input side by side), magnitudes and the
    /// matrices trained in full, then every B; last the norms trained in full. Names are those of PEFT's files.
    /// LoRA+ gives the Bs another learning rate: they are the elements from the first B to `decayed`.
    static ParameterLayout of(List<AdapterSpec> specs, List<String> saved, LlamaConfig c) {
        Builder b = new Builder();
        AdapterSpec before = null;
        for (AdapterSpec spec : specs) {
            boolean together = before != null
                    && before.layer() == spec.layer()
                    && before.projection().input() == spec.projection().input();
            b.put(spec.a(), !together, true, spec.rank(), spec.in());
            before = spec;
        }
        for (AdapterSpec spec : specs) {
            if (spec.dora()) {
                b.put(spec.magnitude(), true, true, spec.out()); // as transformers, whose list of norms lacks it
            }
        }
        for (String name : saved) {
            if (!name.endsWith("norm.weight")) {
                b.put(AdapterSpec.PREFIX + name, true, true, c.vocabSize(), c.hiddenSize());
            }
        }
        for (AdapterSpec spec : specs) {
            b.put(spec.b(), true, true, spec.out(), spec.rank());
        }
        b.align();
        long decayed = b.end;
        for (String name : saved) {
            if (name.endsWith("norm.weight")) {
                b.put(AdapterSpec.PREFIX + name, true, false, c.hiddenSize());
            }
        }
        b.align();
        return b.layout(decayed);
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
            put(name, false, shape.length > 1, shape);
        }

        void put(String name, boolean aligned, boolean decay, long... shape) {
            if (aligned) {
                align();
            }
            Slot slot = new Slot(name, shape, end, decay);
            slots.add(slot);
            end = Math.addExact(end, slot.numel());
        }

        ParameterLayout layout(long decayed) {
            SequencedMap<String, Slot> named = new LinkedHashMap<>();
            slots.forEach(s -> named.put(s.name, s));
            return new ParameterLayout(named, end, decayed);
        }

        void align() {
            end = Math.ceilDiv(end, ALIGNMENT) * ALIGNMENT;
        }
    }
}
