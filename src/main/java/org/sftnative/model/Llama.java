package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
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

    private final LlamaConfig config;
    private final Parameters parameters;
    private final Options options;

    /// How the model computes.
    ///
    /// @param gradientCheckpointing keep only each block's input, and run the block again in the backward pass
    /// @param autocast matrix products in bf16 over fp32 weights
    public record Options(boolean gradientCheckpointing, boolean autocast) {
        /// Plain arithmetic in the weights' dtype, everything kept.
        public static final Options PLAIN = new Options(false, false);
    }

    /// A model over weights that it does not own.
    public Llama(LlamaConfig config, Parameters parameters, Options options) {
        this.config = config;
        this.parameters = parameters;
        this.options = options;
    }

    @Override
    public LlamaConfig config() {
        return config;
    }

    @Override
    public Parameters parameters() {
        return parameters;
    }

    @Override
    public void startStep() {
        parameters.enableGradients();
        parameters.zeroGradients();
    }

    @Override
    public Tensor accumulate(PackedBatch batch, LossFunction loss, double scale) {
        parameters.enableGradients();
        if (batch.labelTokens() == 0) {
            return scalarZero();
        }
        return Scopes.yield(() -> {
            Tensor ids = embed(batch.inputIds());
            Tensor embedded = batch.noise()
                    .map(noise -> ids.add(noise.to(ids.scalar_type())))
                    .orElse(ids);
            Pass pass = new Pass(rope(batch), new PackedAttention(batch.cuSeqlens()), batch.labelRows());
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

    /// Runs n more tokens of one document, whose first tokens are in the cache, and adds them to it.
    ///
    /// @param ids (n) int64
    /// @return logits of the last of them: (V) fp32
    public Tensor decode(Tensor ids, KvCache cache) {
        return Scopes.yield(() -> {
            try (NoGradGuard _ = new NoGradGuard()) {
                int n = (int) ids.size(0);
                Tensor positions = torch.arange(
                        new Scalar(cache.length()),
                        new Scalar(cache.length() + n),
                        Tensors.options(ScalarType.Long, parameters.device()));
                Rope.Table rope = config.rope().table(positions, new int[] {0, n}, activations());
                Tensor x = embed(ids);
                Pass pass = new Pass(rope, cache, Tensors.ofLongs(new long[] {n - 1}, parameters.device()));
                for (int i = 0; i < config.nLayer(); i++) {
                    x = block(i, x, pass);
                }
                cache.advance(n);
                return head(x).view(config.vocabSize());
            }
        });
    }

    /// What every block of a pass is given.
    ///
    /// @param wanted (N) rows whose hidden state is asked for: after attention, the last block computes no other
    private record Pass(Rope.Table rope, Attention attention, Tensor wanted) {}

    /// Hidden states of wanted rows after the last block, before the last norm: (N, C).
    private Tensor hidden(PackedBatch batch, Tensor wanted) {
        Pass pass = new Pass(rope(batch), new PackedAttention(batch.cuSeqlens()), wanted);
        Tensor x = embed(batch.inputIds());
        for (int i = 0; i < config.nLayer(); i++) {
            x = block(i, x, pass);
        }
        return x;
    }

    private Tensor embed(Tensor ids) {
        return torch.embedding(weight("model.embed_tokens.weight"), ids); // (T, C)
    }

    /// One decoder block: x (T, C) -> (T, C), the last one to (N, C).
    private Tensor block(int layer, Tensor x, Pass pass) {
        return Scopes.yield(() -> {
            try (Autocast _ = Autocast.bf16(parameters.device(), options.autocast)) {
                String name = "model.layers." + layer + ".";
                Tensor mixed = attend(layer, norm(name + "input_layernorm.weight", x), pass);
                boolean last = layer == config.nLayer() - 1;
                Tensor rows = last ? x.index_select(0, pass.wanted) : x;
                Tensor h =
                        rows.add(linear(name + "self_attn.o_proj", last ? mixed.index_select(0, pass.wanted) : mixed));
                return h.add(mlp(name + "mlp.", norm(name + "post_attention_layernorm.weight", h)));
            }
        });
    }

    /// Attention before its output projection: x (T, C) -> (T, H * D).
    private Tensor attend(int layer, Tensor x, Pass pass) {
        String name = "model.layers." + layer + ".self_attn.";
        Tensor q = linear(name + "q_proj", x).view(-1, config.nHead(), config.headDim()); // (T, H, D)
        Tensor k = linear(name + "k_proj", x).view(-1, config.nKvHead(), config.headDim()); // (T, K, D)
        Tensor v = linear(name + "v_proj", x).view(-1, config.nKvHead(), config.headDim());
        Tensor out = pass.attention.attend(layer, pass.rope.rotate(q), pass.rope.rotate(k), v); // (T, H, D)
        return out.reshape(-1, config.qSize());
    }

    private Tensor mlp(String name, Tensor x) {
        Tensor gate = torch.silu(linear(name + "gate_proj", x));
        return linear(name + "down_proj", gate.mul(linear(name + "up_proj", x)));
    }

    /// Root-mean-square norm over the last axis: y = x / sqrt(mean(x^2) + eps) * w, the mean in fp32, the
    /// product in the dtype of x, as transformers' LlamaRMSNorm does. Source: arXiv 1910.07467, eq. 4.
    private Tensor norm(String weight, Tensor x) {
        Tensor wide = x.to(ScalarType.Float);
        Tensor mean = torch.square(wide).mean(new long[] {-1}, true, new ScalarTypeOptional());
        Tensor scaled = wide.mul(mean.add(new Scalar(config.rmsNormEps())).rsqrt());
        return weight(weight).mul(scaled.to(x.scalar_type()));
    }

    private Tensor linear(String name, Tensor x) {
        return parameters.has(name + ".bias")
                ? torch.linear(x, weight(name + ".weight"), new TensorOptional(weight(name + ".bias")))
                : torch.linear(x, weight(name + ".weight"));
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
        return parameters.weight(name);
    }
}
