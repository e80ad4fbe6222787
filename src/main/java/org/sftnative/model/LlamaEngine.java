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
/// T tokens, N wanted rows, C hidden, V vocabulary.
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
    private final long weightCount;
    private final double dropout;
    private final int first; // the lowest block of which something is trained, or 0
    private final Ops ops;
    private final List<Recompute> policies;
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
        this.weightCount = parameters.layout().parameterCount();
        this.dropout = adapters.map(a -> a.config().dropout()).orElse(0.0);
        this.ops = ops;
        this.policies = List.copyOf(policies);
        this.weights = new FusedWeights(config, base, adapters, ops);
        this.first = firstTrained();
        weights.shard.ifPresent(shard -> shard.backwardTo(first));
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
        weights.shard.ifPresent(Shard::finish);
        if (fresh && !sharesGradients()) {
            trained.zeroGradients();
        }
    }

    private boolean sharesGradients() {
        return weights.shard.filter(Shard::sharesGradients).isPresent();
    }

    @Override
    public Optional<String> warning() {
        return recorded.flatMap(RecordedPasses::warning);
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
                EnginePass pass = pass(
                        batch,
                        new EnginePass.Purpose(
                                wanted.rows(),
                                batch.noise(),
                                batch.dropout(dropout),
                                fresh,
                                recorded.filter(_ -> recordsPasses(batch))));
                Tensor normed = pass.forward(true);
                Tensor sum = headBackward(normed, wanted.targets(), loss, scale);
                weights.done();
                pass.backward();
                fresh = sharesGradients(); // what is sent is written by every pass
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
                    Tensor normed = pass(batch, EnginePass.Purpose.evaluation(batch.labelRows()))
                            .forward(false);
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
                Tensor normed = pass(batch, EnginePass.Purpose.evaluation(rows)).forward(false);
                Tensor logits = torch.mm(normed, weights.head.t()).to(ScalarType.Float);
                weights.done();
                return logits;
            }
        });
    }

    private EnginePass pass(PackedBatch batch, EnginePass.Purpose purpose) {
        return new EnginePass(
                new EnginePass.Model(config, weights, ops, first), buffersFor(batch.tokens()), batch, purpose);
    }

    /// Whether the card has done a training pass before the host has queued it.
    private boolean recordsPasses(PackedBatch batch) {
        double cardSeconds = 6.0 * batch.tokens() * weightCount / CARD_FLOPS;
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
}
