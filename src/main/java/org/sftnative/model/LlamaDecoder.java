package org.sftnative.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.ops.PooledAttention;
import org.sftnative.tensor.Autocast;
import org.sftnative.tensor.CpuThreads;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;
import org.sftnative.tensor.Torch;

/// LLaMA's forward pass for generation: prompts and single tokens of many texts in one pass over a [KvPool], no
/// gradients, matrix products that belong together as one. The numbers are [Llama]'s to the order of their sums.
///
/// T tokens, B texts, C hidden, H query heads, K kv heads, D head size, Q = H * D, R = K * D, F ffn, V vocabulary.
public final class LlamaDecoder implements AutoCloseable {
    private static final int PRODUCTS = 4; // of a block

    /// Multiply-adds of a product below which a second thread costs about what it saves: between products it falls
    /// asleep. Measured on two cores with models of 3 and 135 million weights, 1 to 64 texts: equal or slower at 4
    /// million, faster at 16 million.
    private static final long WORTH_THREADS = 1 << 23;

    private final LlamaConfig config;
    private final Parameters parameters;
    private final Ops ops;
    private final boolean autocast;
    private final Ops.Heads heads;
    private final DecoderWeights weights;
    private final int threads;
    private final long productWeights; // of one matrix, on average

    /// What one text adds in a pass.
    ///
    /// @param range where its tokens are in the pool
    /// @param past tokens of it that are there; not 0 only if it adds a single one
    /// @param ids what it adds
    public record Part(KvPool.Range range, int past, int[] ids) {
        public Part {
            if (ids.length == 0 || past > 0 && ids.length > 1 || past + ids.length > range.length()) {
                throw new IllegalArgumentException(
                        ids.length + " tokens after " + past + " in a range of " + range.length());
            }
        }
    }

    /// A decoder over weights that it does not own.
    ///
    /// @param ops for what is no matrix product
    /// @param autocast matrix products in bf16 over fp32 weights
    public LlamaDecoder(LlamaConfig config, Parameters parameters, Ops ops, boolean autocast) {
        this.config = config;
        this.parameters = parameters;
        this.ops = ops;
        this.autocast = autocast;
        heads = new Ops.Heads(config.nHead(), config.nKvHead(), config.headDim());
        weights = new DecoderWeights(config, parameters);
        threads = Torch.threads();
        productWeights = parameters.flatWeights().numel() / (PRODUCTS * config.nLayer() + 1);
    }

    public LlamaConfig config() {
        return config;
    }

    public Device device() {
        return parameters.device();
    }

    /// The dtype that keys and values are kept in.
    public Dtype cacheDtype() {
        return autocast ? Dtype.BF16 : parameters.dtype();
    }

    /// A cache for this model.
    public KvPool pool(int tokens) {
        return new KvPool(config, cacheDtype(), device(), tokens);
    }

    /// Runs the parts and adds them to the pool.
    ///
    /// @return for each part the logits of its last token: (V) fp32
    public List<float[]> next(List<Part> parts, KvPool pool) {
        List<Integer> order = new ArrayList<>(); // prompts first, then the others as they lie in the pool
        for (int i = 0; i < parts.size(); i++) {
            order.add(i);
        }
        order.sort(Comparator.comparing((Integer i) -> parts.get(i).past() > 0)
                .thenComparing(i -> parts.get(i).range().start()));
        List<Part> ordered = order.stream().map(parts::get).toList();
        int prompts = (int) parts.stream().filter(p -> p.past() == 0).count();
        float[] all = logits(new Pass(ordered, prompts, pool));
        float[][] result = new float[parts.size()][];
        for (int row = 0; row < result.length; row++) {
            int from = row * config.vocabSize();
            result[order.get(row)] = Arrays.copyOfRange(all, from, from + config.vocabSize());
        }
        return List.of(result);
    }

    private float[] logits(Pass pass) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard();
                CpuThreads _ = new CpuThreads(threads(pass), threads);
                Autocast _ = Autocast.bf16(device(), autocast)) {
            return Tensors.floats(pass.run());
        }
    }

    private int threads(Pass pass) {
        return pass.tokens * productWeights < WORTH_THREADS ? 1 : threads;
    }

    @Override
    public void close() {
        weights.close();
    }

    /// One pass. Rows of the prompts come first, then one row of each text that goes on.
    private final class Pass {
        private final KvPool pool;
        private final List<PooledAttention.Range> ranges = new ArrayList<>(); // of each token
        private final int prompts;
        private final int tokens;
        private final int promptTokens;
        private final int[] cuSeqlens; // of all parts
        private final int[] ids;
        private final int[] positions;
        private final int[] lasts; // the last row of each part
        private final long[] width = {config.hiddenSize()};

        Pass(List<Part> parts, int prompts, KvPool pool) {
            this.pool = pool;
            this.prompts = prompts;
            tokens = parts.stream().mapToInt(p -> p.ids().length).sum();
            promptTokens = tokens - (parts.size() - prompts);
            cuSeqlens = new int[parts.size() + 1];
            ids = new int[tokens];
            positions = new int[tokens];
            lasts = new int[parts.size()];
            int t = 0;
            for (int p = 0; p < parts.size(); p++) {
                Part part = parts.get(p);
                for (int i = 0; i < part.ids().length; i++, t++) {
                    ids[t] = part.ids()[i];
                    positions[t] = part.past() + i;
                    ranges.add(new PooledAttention.Range(
                            part.range().start(), part.range().length()));
                }
                lasts[p] = t - 1;
                cuSeqlens[p + 1] = t;
            }
        }

        /// @return (B, V)
        Tensor run() {
            ScalarType type = parameters.dtype().scalarType();
            Ops.Angles angles = angles();
            Tensor last = Tensors.ofInts(lasts, device());
            Ops.Documents documents = documents();
            PooledAttention pooled = pooled();
            Tensor x = empty(type, tokens, config.hiddenSize());
            ops.embedding(new Ops.Ids(Tensors.ofInts(ids, device()), ids), weights.embedding, x);
            Tensor h = x;
            Optional<Tensor> delta = Optional.empty();
            for (int i = 0; i < config.nLayer(); i++) {
                DecoderWeights.Block w = weights.blocks.get(i);
                boolean wanted = i == config.nLayer() - 1 && tokens > lasts.length; // the others are needed no more
                int layer = i;
                Optional<Tensor> branch = delta;
                Tensor stream = h;
                Tensor out = Scopes.yield(() -> {
                    Tensor normed = norm(stream, branch, w.norm1());
                    Tensor qkv = torch.linear(normed, w.qkv()).view(tokens, heads.all(), heads.size());
                    ops.rope(qkv, w.qkvBias(), angles, heads);
                    Tensor cache = pool.layer(layer);
                    pooled.write(qkv.narrow(1, heads.query(), 2L * heads.kv()), cache);
                    return attend(qkv, cache, documents, pooled);
                });
                Tensor rows = wanted ? out.index_select(0, last) : out;
                if (wanted) {
                    h = h.index_select(0, last);
                }
                Tensor residual = h;
                delta = Optional.of(Scopes.yield(() -> {
                    Tensor normed = norm(residual, Optional.of(linear(rows, w.out(), w.outBias())), w.norm2());
                    Tensor gateUp = linear(normed, w.gateUp(), w.gateUpBias());
                    Tensor act = empty(gateUp.scalar_type(), gateUp.size(0), config.intermediateSize());
                    ops.swiglu(gateUp, act);
                    return linear(act, w.down(), w.downBias());
                }));
            }
            Tensor normed = norm(h, delta, weights.norm);
            return torch.linear(normed, weights.head);
        }

        private Ops.Documents documents() {
            int[] cu = Arrays.copyOf(cuSeqlens, prompts + 1);
            return Ops.Documents.of(cu, Tensors.ofInts(cu, device()).to(ScalarType.Int));
        }

        private PooledAttention pooled() {
            return new PooledAttention(
                    pool.layout(),
                    ranges,
                    positions,
                    tokens - promptTokens,
                    cacheDtype().scalarType(),
                    device());
        }

        private Ops.Angles angles() {
            // by part: no text is longer than the model's positions, and dynamic scaling must not think so of all
            Tensor angles = config.rope().angles(Tensors.ofInts(positions, device()), cuSeqlens);
            int[] rows = new int[tokens];
            Arrays.setAll(rows, t -> t);
            return new Ops.Angles(
                    angles.cos(), angles.sin(), Tensors.ofInts(rows, device()).to(ScalarType.Int));
        }

        /// h += delta, then its norm.
        private Tensor norm(Tensor h, Optional<Tensor> delta, Tensor weight) {
            if (h.is_cpu()) { // one call: a short text's time on a CPU is that of calls
                delta.ifPresent(h::add_);
                return torch.rms_norm(h, width, new TensorOptional(weight), new DoubleOptional(config.rmsNormEps()));
            }
            Tensor y = empty(h.scalar_type(), h.size(0), h.size(1));
            Tensor rstd = empty(ScalarType.Float, h.size(0), 1);
            if (delta.isPresent()) {
                ops.addRmsNorm(h, delta.get(), weight, config.rmsNormEps(), h, y, rstd);
            } else {
                ops.rmsNorm(h, weight, config.rmsNormEps(), y, rstd);
            }
            return y;
        }

        private static Tensor linear(Tensor x, Tensor weight, Optional<Tensor> bias) {
            return bias.map(b -> torch.linear(x, weight, new TensorOptional(b)))
                    .orElseGet(() -> torch.linear(x, weight));
        }

        /// qkv (T, H + 2 K, D) -> (T, Q).
        private Tensor attend(Tensor qkv, Tensor cache, Ops.Documents documents, PooledAttention pooled) {
            Tensor out = empty(qkv.scalar_type(), tokens, config.nHead(), config.headDim());
            if (promptTokens > 0) {
                prompts(qkv.narrow(0, 0, promptTokens), documents, out.narrow(0, 0, promptTokens));
            }
            if (tokens > promptTokens) {
                int n = tokens - promptTokens;
                pooled.attend(
                        qkv.narrow(0, promptTokens, n).narrow(1, 0, heads.query()),
                        cache,
                        out.narrow(0, promptTokens, n));
            }
            return out.view(tokens, config.qSize());
        }

        private void prompts(Tensor qkv, Ops.Documents documents, Tensor out) {
            if (qkv.is_cuda() && Tensors.is(qkv, ScalarType.Float)) { // flash attention has no fp32
                out.copy_(new PackedAttention(documents.cuSeqlens())
                        .attend(
                                qkv.narrow(1, 0, heads.query()),
                                qkv.narrow(1, heads.query(), heads.kv()),
                                qkv.narrow(1, heads.query() + heads.kv(), heads.kv())));
            } else {
                ops.attention(qkv, heads, documents, out);
            }
        }

        private Tensor empty(ScalarType type, long... shape) {
            return Tensors.empty(type, device(), shape);
        }
    }
}
