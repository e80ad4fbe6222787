package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Scopes;

/// Views of the flat weights as [LlamaDecoder] reads them: q, k and v as one matrix, gate and up as one. Unlike
/// [FusedWeights] it wants no gradients. A view keeps its buffer alive: close it.
final class DecoderWeights implements AutoCloseable {
    /// One block. Q query width, R kv width, C hidden, F ffn.
    record Block(
            Tensor norm1,
            Tensor qkv, // (Q + 2 R, C)
            Optional<Tensor> qkvBias,
            Tensor out, // (C, Q)
            Optional<Tensor> outBias,
            Tensor norm2,
            Tensor gateUp, // (2 F, C)
            Optional<Tensor> gateUpBias,
            Tensor down, // (C, F)
            Optional<Tensor> downBias) {}

    private final Parameters parameters;
    private final List<Tensor> views = new ArrayList<>();
    final Tensor embedding;
    final Tensor norm;
    final Tensor head;
    final List<Block> blocks = new ArrayList<>();

    DecoderWeights(LlamaConfig config, Parameters parameters) {
        this.parameters = parameters;
        embedding = view("model.embed_tokens.weight", "model.embed_tokens.weight");
        norm = view("model.norm.weight", "model.norm.weight");
        head = config.tieWordEmbeddings() ? embedding : view("lm_head.weight", "lm_head.weight");
        for (int i = 0; i < config.nLayer(); i++) {
            String layer = "model.layers." + i + ".";
            String qkv = layer + "self_attn.q_proj";
            String v = layer + "self_attn.v_proj";
            String out = layer + "self_attn.o_proj";
            String gate = layer + "mlp.gate_proj";
            String up = layer + "mlp.up_proj";
            String down = layer + "mlp.down_proj";
            String norm1 = layer + "input_layernorm.weight";
            String norm2 = layer + "post_attention_layernorm.weight";
            blocks.add(new Block(
                    view(norm1, norm1),
                    view(qkv + ".weight", v + ".weight"),
                    bias(qkv, v),
                    view(out + ".weight", out + ".weight"),
                    bias(out, out),
                    view(norm2, norm2),
                    view(gate + ".weight", up + ".weight"),
                    bias(gate, up),
                    view(down + ".weight", down + ".weight"),
                    bias(down, down)));
        }
    }

    private Optional<Tensor> bias(String first, String last) {
        return parameters.has(first + ".bias") ? Optional.of(view(first + ".bias", last + ".bias")) : Optional.empty();
    }

    /// Weights that lie side by side, from the first to the last, stacked along their first dimension.
    private Tensor view(String first, String last) {
        ParameterLayout.Slot from = parameters.slot(first);
        ParameterLayout.Slot to = parameters.slot(last);
        long elements = to.offset() + to.numel() - from.offset();
        long[] shape = from.shape().clone();
        shape[0] = elements * shape[0] / from.numel();
        Tensor view = Scopes.keep(() -> parameters
                .flatWeights()
                .detach()
                .narrow(0, from.offset(), elements)
                .view(shape));
        views.add(view);
        return view;
    }

    @Override
    public void close() {
        views.forEach(Scopes::free);
        views.clear();
    }
}
