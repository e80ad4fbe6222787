package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Autocast;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The reference model: LLaMA in plain calls on libtorch autograd. What the tests measure everything else
/// against, and what a researcher changes first.
///
/// T tokens, N label rows, C hidden size, H query heads, K kv heads, D head size, F ffn size, V vocabulary.
public final class Llama implements CausalLm {
    /// Elements of the logits that exist at one time: rows of a chunk x V.
    private static final long CHUNK_ELEMENTS = 1L << 23;

    private static final long[] ROWS = {1};

    private final LlamaConfig config;
    private final FrozenBase base;
    private final Parameters parameters; // of the base
    private final Optional<Adapters> adapters;
    private final Options options;

    /// How the model computes.
    ///
    /// @param gradientCheckpointing keep only each block's input, and run the block again in the backward pass
    /// @param autocast matrix products in bf16 over fp32 weights
    public record Options(boolean gradientCheckpointing, boolean autocast) {
        /// Plain arithmetic in the weights' dtype, everything kept.
        public static final Options PLAIN = new Options(false, false);
    }

    /// A model over weights that it does not own, all of which are trained.
    public Llama(LlamaConfig config, Parameters parameters, Options options) {
        this(config, FrozenBase.of(parameters), Optional.empty(), options);
    }

    /// A frozen model with adapters, which alone are trained; it owns neither.
    public Llama(LlamaConfig config, FrozenBase base, Adapters adapters, Options options) {
        this(config, base, Optional.of(adapters), options);
    }

    /// A frozen model as it is: nothing of it is trained.
    public Llama(LlamaConfig config, FrozenBase base, Options options) {
        this(config, base, Optional.empty(), options);
    }

    private Llama(LlamaConfig config, FrozenBase base, Optional<Adapters> adapters, Options options) {
        this.config = config;
        this.base = base;
        this.parameters = base.dense();
        this.adapters = adapters;
        this.options = options;
    }

    @Override
    public LlamaConfig config() {
        return config;
    }

    @Override
    public Parameters parameters() {
        return adapters.map(Adapters::trained).orElse(parameters);
    }

    @Override
    public void startStep(int microBatches) {
        parameters().enableGradients();
        parameters().zeroGradients();
    }

    @Override
    public void endStep() {}

    @Override
    public Tensor accumulate(PackedBatch batch, LossFunction loss, double scale) {
        parameters().enableGradients();
        if (batch.labelTokens() == 0) {
            return scalarZero();
        }
        return Scopes.yield(() -> {
            Tensor ids = embed(batch.inputIds());
            Tensor embedded = batch.noise()
                    .map(noise -> ids.add(noise.to(ids.scalar_type())))
                    .orElse(ids);
            Pass pass =
                    new Pass(rope(batch), new PackedAttention(batch.cuSeqlens()), batch.labelRows(), dropout(batch));
            List<Tensor> inputs = new ArrayList<>(); // of each block, where it runs again
            Tensor x = embedded;
            for (int i = 0; i < config.nLayer(); i++) {
                inputs.add(x);
                if (options.gradientCheckpointing) {
                    try (NoGradGuard _ = new NoGradGuard()) {
                        x = block(i, x, pass);
                    }
                } else {
                    x = block(i, x, pass);
                }
            }
            Tensor last = x.detach().set_requires_grad(true);
            Tensor sum = headBackward(last, batch, loss, scale);
            Tensor gradient = last.grad();
            if (!options.gradientCheckpointing) {
                backward(x, gradient);
                return sum;
            }
            for (int i = config.nLayer() - 1; i >= 0; i--) {
                gradient = blockBackward(i, inputs.get(i), gradient, pass);
            }
            backward(embedded, gradient);
            return sum;
        });
    }

    @Override
    public Tensor loss(PackedBatch batch, LossFunction loss) {
        return Scopes.yield(() -> {
            try (NoGradGuard _ = new NoGradGuard()) {
                Tensor rows = hidden(batch, batch.labelRows());
                Tensor sum = scalarZero();
                for (long at = 0; at < rows.size(0); at += chunkRows()) {
                    long n = Math.min(chunkRows(), rows.size(0) - at);
                    long from = at;
                    Scopes.run(() -> sum.add_(loss.sum(
                            head(rows.narrow(0, from, n)), batch.targets().narrow(0, from, n))));
                }
                return sum;
            }
        });
    }

    @Override
    public Tensor logits(PackedBatch batch, Tensor rows) {
        return Scopes.yield(() -> {
            try (NoGradGuard _ = new NoGradGuard()) {
                return head(hidden(batch, rows));
            }
        });
    }

    /// What every block of a pass is given.
    ///
    /// @param wanted (N) rows whose hidden state is asked for: after attention, the last block computes no other
    /// @param dropout of adapters' inputs, while training
    private record Pass(Rope.Table rope, PackedAttention attention, Tensor wanted, Optional<AdapterDropout> dropout) {
        /// Dropout of the wanted rows.
        Optional<AdapterDropout> wantedDropout() {
            return dropout.map(d -> d.rows(wanted));
        }
    }

    /// Hidden states of wanted rows after the last block, before the last norm: (N, C).
    private Tensor hidden(PackedBatch batch, Tensor wanted) {
        Pass pass = new Pass(rope(batch), new PackedAttention(batch.cuSeqlens()), wanted, Optional.empty());
        Tensor x = embed(batch.inputIds());
        for (int i = 0; i < config.nLayer(); i++) {
            x = block(i, x, pass);
        }
        return x;
    }

    private Tensor embed(Tensor ids) {
        return torch.embedding(weight("model.embed_tokens.weight"), ids).to(activations()); // (T, C)
    }

    /// One decoder block: x (T, C) -> (T, C), the last one to (N, C).
    private Tensor block(int layer, Tensor x, Pass pass) {
        return Scopes.yield(() -> {
            try (Autocast _ = Autocast.bf16(parameters.device(), options.autocast)) {
                String name = "model.layers." + layer + ".";
                Tensor mixed = attend(layer, norm(name + "input_layernorm.weight", x), pass);
                boolean last = layer == config.nLayer() - 1;
                Tensor rows = last ? x.index_select(0, pass.wanted) : x;
                Optional<AdapterDropout> dropout = last ? pass.wantedDropout() : pass.dropout;
                Tensor out = last ? mixed.index_select(0, pass.wanted) : mixed;
                Tensor h = rows.add(linear(layer, Projection.O, out, dropout));
                return h.add(mlp(layer, norm(name + "post_attention_layernorm.weight", h), dropout));
            }
        });
    }

    /// Attention before its output projection: x (T, C) -> (T, H * D).
    private Tensor attend(int layer, Tensor x, Pass pass) {
        Tensor q = linear(layer, Projection.Q, x, pass.dropout).view(-1, config.nHead(), config.headDim()); // (T, H, D)
        Tensor k = linear(layer, Projection.K, x, pass.dropout).view(-1, config.nKvHead(), config.headDim());
        Tensor v = linear(layer, Projection.V, x, pass.dropout).view(-1, config.nKvHead(), config.headDim());
        Tensor out = pass.attention.attend(pass.rope.rotate(q), pass.rope.rotate(k), v); // (T, H, D)
        return out.reshape(-1, config.qSize());
    }

    private Tensor mlp(int layer, Tensor x, Optional<AdapterDropout> dropout) {
        Tensor gate = torch.silu(linear(layer, Projection.GATE, x, dropout));
        return linear(layer, Projection.DOWN, gate.mul(linear(layer, Projection.UP, x, dropout)), dropout);
    }

    /// Root-mean-square norm over the last axis: y = x / sqrt(mean(x^2) + eps) * w, the mean in fp32, the
    /// product in the dtype of x, as transformers' LlamaRMSNorm does. Source: arXiv 1910.07467, eq. 4.
    private Tensor norm(String weight, Tensor x) {
        Tensor wide = x.to(ScalarType.Float);
        Tensor mean = torch.square(wide).mean(new long[] {-1}, true, new ScalarTypeOptional());
        Tensor scaled = wide.mul(mean.add(new Scalar(config.rmsNormEps())).rsqrt());
        return weight(weight).mul(scaled.to(x.scalar_type()));
    }

    private Tensor linear(int layer, Projection projection, Tensor x, Optional<AdapterDropout> dropout) {
        String name = projection.module(layer);
        Tensor w = base.weight(name + ".weight");
        Optional<Tensor> bias =
                parameters.has(name + ".bias") ? Optional.of(parameters.weight(name + ".bias")) : Optional.empty();
        Optional<AdapterSpec> spec = adapters.flatMap(a -> a.spec(layer, projection));
        return spec.map(s -> adapted(s, w, bias, x, dropout)).orElseGet(() -> linear(x, w, bias));
    }

    private static Tensor linear(Tensor x, Tensor w, Optional<Tensor> bias) {
        return bias.map(b -> torch.linear(x, w, new TensorOptional(b))).orElseGet(() -> torch.linear(x, w));
    }

    /// W x + s B A x, the adapter in fp32 as PEFT has it; DoRA as its `DoraLinearLayer`: the norm of W + s B A has no
    /// gradient, the bias is not scaled, and with dropout the magnitude's part of W x is of the dropped x.
    private Tensor adapted(
            AdapterSpec spec, Tensor w, Optional<Tensor> bias, Tensor x, Optional<AdapterDropout> dropout) {
        Tensor a = adapters.orElseThrow().a(spec);
        Tensor b = adapters.orElseThrow().b(spec);
        Tensor in = dropout.map(d -> d.drop(spec.module(), x)).orElse(x);
        Tensor low = torch.linear(torch.linear(in.to(a.scalar_type()), a), b).mul(new Scalar(spec.scaling()));
        Tensor y = linear(x, w, bias);
        if (!spec.dora()) {
            return y.add(low).to(y.scalar_type());
        }
        Tensor sum = w.to(ScalarType.Float).add(torch.mm(b, a).mul(new Scalar(spec.scaling())));
        Tensor norm = torch.linalg_vector_norm(sum.detach(), new Scalar(2.0), ROWS, false, new ScalarTypeOptional());
        Tensor g = adapters.orElseThrow().magnitude(spec).div(norm);
        Tensor plain = torch.linear(in, w);
        return y.add(g.sub(new Scalar(1.0)).mul(plain).add(g.mul(low))).to(y.scalar_type());
    }

    /// Hidden rows (n, C) -> logits (n, V) fp32.
    private Tensor head(Tensor x) {
        try (Autocast _ = Autocast.bf16(parameters.device(), options.autocast)) {
            String head = config.tieWordEmbeddings() ? "model.embed_tokens.weight" : "lm_head.weight";
            return torch.linear(norm("model.norm.weight", x), weight(head)).to(ScalarType.Float);
        }
    }

    /// Loss and backward of norm, head and objective, a chunk of label rows at a time: logits never exist whole.
    /// Leaves the gradient of the label rows (N, C) in `last.grad()`.
    private Tensor headBackward(Tensor last, PackedBatch batch, LossFunction loss, double scale) {
        Tensor sum = scalarZero();
        long rows = batch.labelTokens();
        for (long at = 0; at < rows; at += chunkRows()) {
            long n = Math.min(chunkRows(), rows - at);
            long from = at;
            Scopes.run(() -> {
                Tensor logits = head(last.narrow(0, from, n));
                Tensor chunk = loss.sum(logits, batch.targets().narrow(0, from, n));
                sum.add_(chunk.detach());
                chunk.mul(new Scalar(scale)).backward();
            });
        }
        return sum;
    }

    /// Runs a block again from its input, then backward through it.
    ///
    /// @return the gradient of the input
    private Tensor blockBackward(int layer, Tensor input, Tensor gradient, Pass pass) {
        return Scopes.yield(() -> {
            Tensor in = input.detach().set_requires_grad(true);
            backward(block(layer, in, pass), gradient);
            return new Tensor(in.grad()); // a view into autograd's own state, copied before `in` dies
        });
    }

    private static void backward(Tensor output, Tensor gradient) {
        if (!output.requires_grad()) {
            return; // nothing below is trained
        }
        output.backward(gradient, new BoolOptional(false), false, new TensorArrayRefOptional());
    }

    private long chunkRows() {
        return Math.max(64, CHUNK_ELEMENTS / config.vocabSize());
    }

    private Rope.Table rope(PackedBatch batch) {
        return config.rope().table(batch.positions(), batch.cuSeqlens(), activations());
    }

    private ScalarType activations() {
        return parameters.dtype().scalarType();
    }

    private Tensor scalarZero() {
        return Tensors.zeros(ScalarType.Float, parameters.device());
    }

    private Tensor weight(String name) {
        return adapters.flatMap(a -> a.saved(name))
                .map(saved -> saved.to(activations()))
                .orElseGet(() -> parameters.weight(name));
    }

    private Optional<AdapterDropout> dropout(PackedBatch batch) {
        return adapters.flatMap(a -> batch.dropout(a.config().dropout()));
    }
}
