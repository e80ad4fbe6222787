package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Scopes;

/// Views of the flat buffers as [LlamaEngine] reads them: q, k and v as one matrix, gate and up as one. The
/// d-prefixed are gradients. A view keeps its buffer alive: close it.
final class FusedWeights implements AutoCloseable {
    /// One block. Q query width, R kv width, C hidden, F ffn.
    record Block(
            Tensor norm1,
            Tensor qkv, // (Q + 2 R, C)
            Tensor out, // (C, Q)
            Tensor norm2,
            Tensor gateUp, // (2 F, C)
            Tensor down, // (C, F)
            Optional<Tensor> qkvBias,
            Optional<Tensor> outBias,
            Optional<Tensor> gateUpBias,
            Optional<Tensor> downBias,
            Tensor dNorm1,
            Tensor dQkv,
            Tensor dOut,
            Tensor dNorm2,
            Tensor dGateUp,
            Tensor dDown,
            Optional<Tensor> dQkvBias,
            Optional<Tensor> dOutBias,
            Optional<Tensor> dGateUpBias,
            Optional<Tensor> dDownBias) {}

    private final LlamaConfig config;
    private final Parameters parameters;
    private final List<Tensor> views = new ArrayList<>();
    final Tensor embedding;
    final Tensor dEmbedding;
    final Tensor norm;
    final Tensor dNorm;
    final Tensor head;
    final Tensor dHead;
    final List<Block> blocks = new ArrayList<>();

    FusedWeights(LlamaConfig config, Parameters parameters) {
        this.config = config;
        this.parameters = parameters;
        parameters.enableGradients();
        String embed = "model.embed_tokens.weight";
        String top = config.tieWordEmbeddings() ? embed : "lm_head.weight";
        embedding = weight(embed);
        dEmbedding = gradient(embed);
        norm = weight("model.norm.weight");
        dNorm = gradient("model.norm.weight");
        head = weight(top);
        dHead = gradient(top);
        for (int i = 0; i < config.nLayer(); i++) {
            blocks.add(block("model.layers." + i + "."));
        }
    }

    private Block block(String layer) {
        String[] qkv = {layer + "self_attn.q_proj", layer + "self_attn.k_proj", layer + "self_attn.v_proj"};
        String[] gateUp = {layer + "mlp.gate_proj", layer + "mlp.up_proj"};
        String out = layer + "self_attn.o_proj";
        String down = layer + "mlp.down_proj";
        Tensor w = parameters.flatWeights();
        Tensor g = parameters.flatGradients();
        return new Block(
                weight(layer + "input_layernorm.weight"),
                matrix(w, qkv),
                matrix(w, out),
                weight(layer + "post_attention_layernorm.weight"),
                matrix(w, gateUp),
                matrix(w, down),
                bias(w, qkv),
                bias(w, out),
                bias(w, gateUp),
                bias(w, down),
                gradient(layer + "input_layernorm.weight"),
                matrix(g, qkv),
                matrix(g, out),
                gradient(layer + "post_attention_layernorm.weight"),
                matrix(g, gateUp),
                matrix(g, down),
                bias(g, qkv),
                bias(g, out),
                bias(g, gateUp),
                bias(g, down));
    }

    /// Zeroes what every micro-batch adds to: norms, biases, and an embedding that is not the head.
    void zeroWhatIsAddedTo() {
        ParameterLayout layout = parameters.layout();
        Scopes.run(() -> {
            parameters
                    .flatGradients()
                    .narrow(0, layout.decayed(), layout.numel() - layout.decayed())
                    .zero_();
            if (!config.tieWordEmbeddings()) {
                dEmbedding.zero_();
            }
        });
    }

    private Tensor weight(String name) {
        return matrix(parameters.flatWeights(), name, "");
    }

    private Tensor gradient(String name) {
        return matrix(parameters.flatGradients(), name, "");
    }

    private Tensor matrix(Tensor flat, String... names) {
        return matrix(flat, names[0] + ".weight", names[names.length - 1] + ".weight");
    }

    private Optional<Tensor> bias(Tensor flat, String... names) {
        return parameters.has(names[0] + ".bias")
                ? Optional.of(matrix(flat, names[0] + ".bias", names[names.length - 1] + ".bias"))
                : Optional.empty();
    }

    /// Weights that lie side by side, from the first to the last, stacked along their first dimension.
    private Tensor matrix(Tensor flat, String first, String last) {
        ParameterLayout.Slot from = parameters.slot(first);
        ParameterLayout.Slot to = last.isEmpty() ? from : parameters.slot(last);
        long elements = to.offset() + to.numel() - from.offset();
        long[] shape = from.shape().clone();
        shape[0] = elements * shape[0] / from.numel();
        Tensor view = Scopes.keep(
                () -> flat.detach().narrow(0, from.offset(), elements).view(shape));
        views.add(view);
        return view;
    }

    @Override
    public void close() {
        views.forEach(Scopes::free);
        views.clear();
    }
}
