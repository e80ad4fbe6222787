package org.sftnative.model;

import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Ops.Angles;
import org.sftnative.ops.Ops.AttentionState;
import org.sftnative.ops.Ops.Documents;
import org.sftnative.ops.Ops.Heads;
import org.sftnative.ops.Ops.Ids;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// LLaMA with forward and backward written out over [Ops]: no autograd, no allocation beside the planned
/// buffers and what attention returns. One matrix product for q, k, v and one for gate, up; gradients of
/// weights are written by the first micro-batch of a step and added to inside the products of the others;
/// the last block's output projection and MLP, the last norm and the head run on the rows that are wanted
/// only.
///
/// T tokens, N wanted rows, C hidden, H query heads, K kv heads, D head size, Q = H * D, R = K * D, F ffn, V
/// vocabulary.
public final class LlamaEngine implements CausalLm {
    /// Elements of the logits that exist at one time: on a CPU what caches hold; on a card so many that the head's
    /// fp32 gradient is seldom read and written (with 64 rows of a vocabulary of 128k that was half the step).
    private static final long CPU_CHUNK = 1L << 22;

    private static final long CUDA_CHUNK = 1L << 28;

    /// What a card does a second, and what queueing a block and its backward pass takes: of an H100 and
    /// its host.
    private static final double CARD_FLOPS = 5e14;

    private static final double HOST_SECONDS = 0.0006;

    private final LlamaConfig config;
    private final Parameters parameters; // as computed with
    private final Parameters trained;
    private final double dropout;
    private final int first; // the lowest block of which something is trained, or 0
    private final Ops ops;
    private final List<Recompute> policies;
    private final Heads heads;
    private final FusedWeights weights;
    private final Optional<RecordedPasses> recorded;
    private EngineBuffers buffers;
    private boolean fresh = true;

    /// An engine over weights that it does not own, all of which are trained.
    ///
    /// @param policies what each block keeps
    public LlamaEngine(LlamaConfig config, Parameters parameters, Ops ops, List<Recompute> policies) {
        this(config, FrozenBase.of(parameters), Optional.empty(), ops, policies);
    }

    /// The same with one policy for every block.
    public LlamaEngine(LlamaConfig config, Parameters parameters, Ops ops, Recompute recompute) {
        this(config, parameters, ops, recompute.everywhere(config.nLayer()));
    }

    /// An engine over a frozen model of which the adapters are trained; it owns neither.
    public LlamaEngine(LlamaConfig config, FrozenBase base, Adapters adapters, Ops ops, List<Recompute> policies) {
        this(config, base, Optional.of(adapters), ops, policies);
    }

    /// The same with one policy for every block.
    public LlamaEngine(LlamaConfig config, FrozenBase base, Adapters adapters, Ops ops, Recompute recompute) {
        this(config, base, adapters, ops, recompute.everywhere(config.nLayer()));
    }

    private LlamaEngine(
            LlamaConfig config, FrozenBase base, Optional<Adapters> adapters, Ops ops, List<Recompute> policies) {
        this.config = config;
        this.parameters = base.dense();
        this.trained = adapters.map(Adapters::trained).orElse(parameters);
        this.dropout = adapters.map(a -> a.config().dropout()).orElse(0.0);
        this.ops = ops;
        this.policies = List.copyOf(policies);
        this.heads = new Heads(config.nHead(), config.nKvHead(), config.headDim());
        this.weights = new FusedWeights(config, base, adapters, ops);
        this.first = firstTrained();
        this.recorded = adapters.isEmpty() && weights.shard.isEmpty() && !policies.contains(Recompute.OFFLOAD)
                ? ops.recorder().map(recorder -> new RecordedPasses(recorder, parameters.device()))
                : Optional.empty();
    }

    @Override
    public LlamaConfig config() {
        return config;
    }

    @Override
    public Parameters parameters() {
        return trained;
    }

    @Override
    public void startStep(int microBatches) {
        fresh = true; // the first micro-batch writes every matrix's gradient; the rest is small, and zeroed
        weights.shard.ifPresent(shard -> shard.start(microBatches));
    }

    @Override
    public boolean startScoring(int passes) {
        return weights.shard.map(shard -> shard.startScoring(passes)).orElse(passes > 0);
    }

    @Override
    public void endScoring() {
        weights.shard.ifPresent(Shard::finish);
    }

    @Override
    public void endStep() {
        if (weights.shard.isPresent()) {
            weights.shard.get().finish();
        } else if (fresh) {
            trained.zeroGradients();
        }
    }

    @Override
    public Tensor accumulate(PackedBatch batch, LossFunction loss, double scale) {
        if (batch.labelTokens() == 0) {
            return Tensors.zeros(ScalarType.Float, parameters.device());
        }
        return Scopes.yield(() -> {
            try (NoGradGuard _ = new NoGradGuard()) {
                if (fresh) {
                    weights.zeroWhatIsAddedTo();
                    weights.refresh();
                }
                PackedBatch.Wanted wanted = batch.wanted(loss);
                Pass pass = new Pass(batch, wanted.rows(), batch.noise(), batch.dropout(dropout), recordsPasses(batch));
                Tensor normed = pass.forward(true);
                Tensor sum = headBackward(normed, wanted.targets(), loss, scale);
                weights.done();
                pass.backward();
                fresh = weights.shard.isPresent(); // what is sent is written by every pass
                return sum;
            }
        });
    }

    @Override
    public Tensor loss(PackedBatch batch, LossFunction loss) {
        return Scopes.yield(() -> {
            try (NoGradGuard _ = new NoGradGuard()) {
                Tensor sum = Tensors.zeros(ScalarType.Float, parameters.device());
                if (batch.labelTokens() > 0) {
                    weights.refresh();
                    Tensor normed = evaluation(batch, batch.labelRows()).forward(false);
                    chunks(
                            normed,
                            (rows, from, n) -> sum.add_(loss.sum(
                                    logitsOf(rows).to(ScalarType.Float),
                                    batch.targets().narrow(0, from, n))));
                    weights.done();
                }
                return sum;
            }
        });
    }

    @Override
    public Tensor logits(PackedBatch batch, Tensor rows) {
        return Scopes.yield(() -> {
            try (NoGradGuard _ = new NoGradGuard()) {
                weights.refresh();
                Tensor normed = evaluation(batch, rows).forward(false);
                Tensor logits = torch.mm(normed, weights.head.t()).to(ScalarType.Float);
                weights.done();
                return logits;
            }
        });
    }

    private Pass evaluation(PackedBatch batch, Tensor rows) {
        return new Pass(batch, rows, Optional.empty(), Optional.empty(), false);
    }

    /// Whether the card has done a training pass before the host has queued it.
    private boolean recordsPasses(PackedBatch batch) {
        double cardSeconds = 6.0 * batch.tokens() * parameters.layout().parameterCount() / CARD_FLOPS;
        return batch.noise().isEmpty() && cardSeconds < HOST_SECONDS * config.nLayer();
    }

    /// Bytes of this engine's buffers; 0 before the first micro-batch.
    public long bufferBytes() {
        return buffers == null ? 0 : buffers.bytes() + weights.bytes();
    }

    /// Bytes in the host's memory beside a card's: inputs of blocks that are offloaded.
    public long hostBytes() {
        return buffers == null ? 0 : buffers.inputs().hostBytes();
    }

    private interface Chunk {
        void run(Tensor rows, long from, long n);
    }

    /// Runs work over chunks of rows (N, C), each in a scope of its own.
    private void chunks(Tensor rows, Chunk work) {
        long size = buffers.logits().size(0);
        for (long from = 0; from < rows.size(0); from += size) {
            long n = Math.min(size, rows.size(0) - from);
            long at = from;
            Scopes.run(() -> work.run(rows.narrow(0, at, n), at, n));
        }
    }

    private Tensor logitsOf(Tensor rows) {
        Tensor logits = buffers.logits().narrow(0, 0, rows.size(0));
        ops.matmul(Ops.Form.NT, rows, weights.head, logits, false);
        return logits;
    }

    /// Loss, and backward through the head, a chunk at a time; leaves the gradient of `normed` in dNormed.
    ///
    /// @param all (N) the targets
    private Tensor headBackward(Tensor normed, Tensor all, LossFunction loss, double scale) {
        Tensor sum = Tensors.zeros(ScalarType.Float, parameters.device());
        Optional<HeadGradient> gradient = weights.dHead.map(d -> new HeadGradient(d, fresh, ops));
        chunks(normed, (rows, from, n) -> {
            Tensor logits = logitsOf(rows);
            Tensor targets = all.narrow(0, from, n);
            sum.add_(
                    loss instanceof CrossEntropy
                            ? ops.crossEntropy(logits, targets, scale)
                            : byAutograd(loss, logits, targets, scale));
            ops.matmul(Ops.Form.NN, logits, weights.head, buffers.dNormed().narrow(0, from, n), false);
            gradient.ifPresent(g -> g.add(logits, rows));
        });
        gradient.ifPresent(HeadGradient::finish);
        return sum;
    }

    /// Any other objective: its gradient comes from autograd, over one chunk of logits.
    private static Tensor byAutograd(LossFunction loss, Tensor logits, Tensor targets, double scale) {
        try (AutoGradMode _ = new AutoGradMode(true)) {
            Tensor leaf = logits.to(ScalarType.Float).detach().clone().set_requires_grad(true);
            Tensor sum = loss.sum(leaf, targets);
            sum.mul(new Scalar(scale)).backward();
            logits.copy_(leaf.grad());
            return sum.detach();
        }
    }

    private EngineBuffers buffersFor(int tokens) {
        if (buffers == null || buffers.tokens() < tokens) {
            freeBuffers();
            buffers = new EngineBuffers(
                    config,
                    policies,
                    parameters.dtype().scalarType(),
                    parameters.device(),
                    tokens,
                    chunkRows(config, tokens, Devices.isCuda(parameters.device())),
                    () -> ops.copies(parameters.device()));
            weights.reserve(tokens);
        }
        return buffers;
    }

    private static int chunkRows(LlamaConfig config, int tokens, boolean cuda) {
        return (int) Math.min(Math.max(64, (cuda ? CUDA_CHUNK : CPU_CHUNK) / config.vocabSize()), tokens);
    }

    /// Bytes of the buffers that an engine makes for micro-batches of up to `tokens`: exact, before any is made.
    public static long plannedBytes(
            LlamaConfig config, List<Recompute> policies, Dtype dtype, Device device, int tokens) {
        return EngineBuffers.plannedBytes(
                config, policies, dtype.bytes(), tokens, chunkRows(config, tokens, Devices.isCuda(device)));
    }

    /// The same of [#hostBytes].
    public static long plannedHostBytes(LlamaConfig config, List<Recompute> policies, Dtype dtype, int tokens) {
        return (long) OffloadedInputs.inHost(policies) * tokens * config.hiddenSize() * dtype.bytes();
    }

    private int firstTrained() {
        int layer = 0;
        while (layer + 1 < config.nLayer() && weights.nothingTrainedBelow(layer + 1)) {
            layer++;
        }
        return layer;
    }

    private void freeBuffers() {
        recorded.ifPresent(RecordedPasses::forget);
        if (buffers != null) {
            buffers.close();
            buffers = null;
        }
    }

    @Override
    public void shrink() {
        freeBuffers();
    }

    @Override
    public void close() {
        freeBuffers();
        recorded.ifPresent(RecordedPasses::close);
        weights.close();
    }

    /// One micro-batch through the blocks and back.
    private final class Pass {
        private final Documents documents;
        private final long tokens;
        private final Tensor wanted;
        private final Ids ids;
        private final Optional<Tensor> noise;
        private final Optional<AdapterDropout> dropout;
        private final Optional<AdapterDropout> wantedDropout;
        private final Angles angles;
        private final EngineBuffers b;
        private final EngineBuffers.Block[] blocks = new EngineBuffers.Block[config.nLayer()];
        private final AttentionState[] attention = new AttentionState[config.nLayer()];
        private final Optional<RecordedPasses.Passes> recording;
        private final int last = config.nLayer() - 1;
        private Tensor wantedOut;
        private Tensor lastRows;
        private Tensor lastRstd;

        /// @param wanted (N) the rows whose hidden state is asked for
        /// @param noise (T, C) added to the embeddings, while training
        /// @param dropout of adapters' inputs, while training
        /// @param records whether the pass may be recorded, or be a recording's
        Pass(
                PackedBatch batch,
                Tensor wanted,
                Optional<Tensor> noise,
                Optional<AdapterDropout> dropout,
                boolean records) {
            this.tokens = batch.tokens();
            this.wanted = wanted;
            this.noise = noise;
            this.dropout = dropout;
            this.wantedDropout = dropout.map(d -> d.rows(wanted));
            this.b = buffersFor(batch.tokens());
            RecordedPasses.Inputs now = RecordedPasses.inputs(config, batch);
            this.recording = records ? recorded.flatMap(r -> r.of(now, fresh)) : Optional.empty();
            RecordedPasses.Inputs in =
                    recording.map(RecordedPasses.Passes::inputs).orElse(now);
            this.ids = in.ids();
            this.documents = in.documents();
            this.angles = in.angles();
            for (int i = 0; i < blocks.length; i++) {
                blocks[i] = b.block(i).rows(tokens);
            }
        }

        /// Queues work, or the recording of it.
        private void queue(String name, Runnable work) {
            recording.ifPresentOrElse(r -> r.run(name, work), work);
        }

        /// @param trains whether [#backward] follows
        /// @return the wanted rows after the last norm: (N, C)
        Tensor forward(boolean trains) {
            b.inputs().begin(trains);
            queue("forward", this::upToLastMlp);
            Tensor normed = lastMlp();
            weights.done();
            return normed;
        }

        private void upToLastMlp() {
            EngineBuffers.Block first = blocks[0];
            weights.begin();
            ops.embedding(ids, weights.embedding, first.x());
            noise.ifPresent(n -> first.x().add_(n));
            weights.done();
            for (int i = 0; i <= last; i++) {
                FusedWeights.Block w = weights.blocks.get(i);
                EngineBuffers.Block s = blocks[i];
                b.inputs().await(i);
                if (i == 0) {
                    ops.rmsNorm(s.x(), w.norm1(), config.rmsNormEps(), s.normed1(), s.rstd1());
                } else {
                    EngineBuffers.Block before = blocks[i - 1];
                    ops.addRmsNorm(
                            before.h(), branch(tokens), w.norm1(), config.rmsNormEps(), s.x(), s.normed1(), s.rstd1());
                }
                b.inputs().written(i, s.x());
                attend(i, w, s);
                if (i < last) {
                    feedForward(w, s, s.x(), s.out(), dropout);
                    weights.done();
                }
            }
        }

        /// The last block after its attention, and the last norm, on wanted rows only.
        private Tensor lastMlp() {
            long n = wanted.size(0);
            EngineBuffers.Block s = b.block(last).rows(n);
            Tensor x = blocks[last].x().index_select(0, wanted);
            wantedOut = blocks[last].out().index_select(0, wanted);
            feedForward(weights.blocks.get(last), s, x, wantedOut, wantedDropout);
            lastRows = x; // its memory now holds the residual stream's end
            lastRstd = Tensors.empty(ScalarType.Float, parameters.device(), n, 1);
            Tensor normed = Tensors.empty(x.scalar_type(), parameters.device(), n, config.hiddenSize());
            ops.addRmsNorm(s.h(), branch(n), weights.norm, config.rmsNormEps(), lastRows, normed, lastRstd);
            return normed;
        }

        private void attend(int layer, FusedWeights.Block w, EngineBuffers.Block s) {
            rotated(w, s);
            attention[layer] = ops.attention(heads(s.qkv()), heads, documents, query(s.out()));
        }

        private void rotated(FusedWeights.Block w, EngineBuffers.Block s) {
            w.qkv().forward(s.normed1(), s.qkv(), dropout);
            ops.rope(heads(s.qkv()), w.qkvBias(), angles, heads);
        }

        /// From attention's output to what the MLP adds: x + out @ Wo -> h, then the branch.
        private void feedForward(
                FusedWeights.Block w, EngineBuffers.Block s, Tensor x, Tensor out, Optional<AdapterDropout> dropout) {
            Tensor branch = branch(x.size(0));
            beforeMlp(w, s, x, out, branch, dropout);
            ops.swiglu(s.gateUp(), s.act());
            w.down().forward(s.act(), branch, dropout);
            w.downBias().ifPresent(branch::add_);
        }

        private void beforeMlp(
                FusedWeights.Block w,
                EngineBuffers.Block s,
                Tensor x,
                Tensor out,
                Tensor branch,
                Optional<AdapterDropout> dropout) {
            w.out().forward(out, branch, dropout);
            w.outBias().ifPresent(branch::add_);
            ops.addRmsNorm(x, branch, w.norm2(), config.rmsNormEps(), s.h(), s.normed2(), s.rstd2());
            w.gateUp().forward(s.normed2(), s.gateUp(), dropout);
            w.gateUpBias().ifPresent(bias -> s.gateUp().add_(bias));
        }

        /// From the gradient of `forward`'s result, in dNormed, to the gradients of all weights.
        void backward() {
            Tensor d = lastMlpBackward();
            queue("backward", () -> fromLastAttention(d));
            weights.dEmbedding.ifPresent(e -> ops.embeddingBackward(d, ids, e));
            weights.done();
        }

        private void fromLastAttention(Tensor d) {
            for (int i = last; i >= first; i--) {
                FusedWeights.Block w = weights.blocks.get(i);
                EngineBuffers.Block s = blocks[i];
                int layer = i;
                b.inputs().await(i);
                Scopes.run(() -> {
                    if (layer < last) {
                        again(layer, w, s);
                        feedForwardBackward(w, s, d, s.out(), b.dOut().narrow(0, 0, tokens), dropout);
                    }
                    attendBackward(layer, w, s, d);
                });
                b.inputs().done(i, s.x());
                weights.done();
            }
        }

        /// @return the gradient of the last block's input so far: (T, C), zero where nothing is wanted
        private Tensor lastMlpBackward() {
            long n = wanted.size(0);
            FusedWeights.Block w = weights.blocks.get(last);
            EngineBuffers.Block s = b.block(last).rows(n);
            Tensor rows = torch.zeros_like(lastRows);
            ops.rmsNormBackward(b.dNormed().narrow(0, 0, n), lastRows, weights.norm, lastRstd, rows, weights.dNorm);
            Tensor dOutRows = torch.empty_like(wantedOut);
            feedForwardBackward(w, s, rows, wantedOut, dOutRows, wantedDropout);
            b.dOut().narrow(0, 0, tokens).zero_().index_copy_(0, wanted, dOutRows);
            return b.gradient().narrow(0, 0, tokens).zero_().index_copy_(0, wanted, rows);
        }

        /// Computes again what the block did not keep, up to gate and up.
        private void again(int layer, FusedWeights.Block w, EngineBuffers.Block s) {
            switch (s.policy()) {
                case NONE -> {}
                case SELECTIVE -> ops.rmsNormAgain(s.h(), w.norm2(), s.rstd2(), s.normed2());
                case FULL, FULL_KEEP_ATTENTION, OFFLOAD -> {
                    ops.rmsNormAgain(s.x(), w.norm1(), s.rstd1(), s.normed1());
                    rotated(w, s);
                    if (s.policy() != Recompute.FULL_KEEP_ATTENTION) {
                        attention[layer] = ops.attention(heads(s.qkv()), heads, documents, query(s.out()));
                    }
                    beforeMlp(w, s, s.x(), s.out(), branch(tokens), dropout);
                }
            }
        }

        /// @param d (n, C) gradient of the block's output; becomes that of x + attention
        /// @param dOut (n, Q), written
        private void feedForwardBackward(
                FusedWeights.Block w,
                EngineBuffers.Block s,
                Tensor d,
                Tensor out,
                Tensor dOut,
                Optional<AdapterDropout> dropout) {
            long n = d.size(0);
            Tensor dAct = b.dAct().narrow(0, 0, n);
            Tensor dNormed = b.dNormed().narrow(0, 0, n);
            Product.Flow down = w.down().inputGradient(d, dAct, dropout);
            ops.swigluBackward(dAct, s.gateUp(), s.act());
            w.down().weightGradient(d, s.act(), down, fresh, dropout);
            Product.Flow gateUp = w.gateUp().inputGradient(s.gateUp(), dNormed, dropout);
            w.gateUp().weightGradient(s.gateUp(), s.normed2(), gateUp, fresh, dropout);
            ops.rmsNormBackward(dNormed, s.h(), w.norm2(), s.rstd2(), d, w.dNorm2());
            Product.Flow o = w.out().inputGradient(d, dOut, dropout);
            w.out().weightGradient(d, out, o, fresh, dropout);
        }

        private void attendBackward(int layer, FusedWeights.Block w, EngineBuffers.Block s, Tensor d) {
            Tensor dQkv = b.dQkv().narrow(0, 0, tokens);
            ops.attentionBackward(
                    query(b.dOut().narrow(0, 0, tokens)),
                    heads(s.qkv()),
                    query(s.out()),
                    attention[layer],
                    angles,
                    heads,
                    documents,
                    heads(dQkv));
            if (s.policy() == Recompute.SELECTIVE) {
                ops.rmsNormAgain(s.x(), w.norm1(), s.rstd1(), s.normed1());
            }
            Tensor dNormed = b.dNormed().narrow(0, 0, tokens);
            if (weights.nothingTrainedBelow(layer) && !w.trainsNorm1()) {
                w.qkv().weightGradient(dQkv, s.normed1(), w.qkv().noInputGradient(dQkv), fresh, dropout);
                return;
            }
            Product.Flow flow = w.qkv().inputGradient(dQkv, dNormed, dropout);
            w.qkv().weightGradient(dQkv, s.normed1(), flow, fresh, dropout);
            ops.rmsNormBackward(dNormed, s.x(), w.norm1(), s.rstd1(), d, w.dNorm1());
        }

        private Tensor branch(long n) {
            return b.branch().narrow(0, 0, n);
        }

        private Tensor heads(Tensor qkv) {
            return qkv.view(tokens, heads.all(), heads.size());
        }

        private Tensor query(Tensor out) {
            return out.view(tokens, heads.query(), heads.size());
        }
    }
}
