package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Copies;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Every buffer that [LlamaEngine] computes in, allocated once for the largest micro-batch: what each block
/// keeps, one set of working buffers for all blocks, and one chunk of logits. What a block computes again,
/// it computes into the working set, so that its code does not know its policy.
///
/// T tokens, C hidden, Q = H * D, R = K * D, F ffn, V vocabulary.
final class EngineBuffers implements AutoCloseable {
    /// Where one block's values are; kept ones are its own, the others shared.
    ///
    /// @param x (T, C) the block's input
    /// @param normed1 (T, C) normalised x
    /// @param rstd1 (T, 1) fp32
    /// @param qkv (T, Q + 2 R), rotated
    /// @param out (T, Q) attention's output
    /// @param h (T, C) x + attention
    /// @param normed2 (T, C) normalised h
    /// @param rstd2 (T, 1) fp32
    /// @param gateUp (T, 2 F), in the backward pass its gradient
    /// @param act (T, F)
    record Block(
            Recompute policy,
            Tensor x,
            Tensor normed1,
            Tensor rstd1,
            Tensor qkv,
            Tensor out,
            Tensor h,
            Tensor normed2,
            Tensor rstd2,
            Tensor gateUp,
            Tensor act) {
        /// The first `tokens` rows of each.
        Block rows(long tokens) {
            return new Block(
                    policy,
                    x.narrow(0, 0, tokens),
                    normed1.narrow(0, 0, tokens),
                    rstd1.narrow(0, 0, tokens),
                    qkv.narrow(0, 0, tokens),
                    out.narrow(0, 0, tokens),
                    h.narrow(0, 0, tokens),
                    normed2.narrow(0, 0, tokens),
                    rstd2.narrow(0, 0, tokens),
                    gateUp.narrow(0, 0, tokens),
                    act.narrow(0, 0, tokens));
        }
    }

    private final Device device;
    private final ScalarType type;
    private final int tokens;
    private final List<Tensor> all = new ArrayList<>();
    private final List<Block> blocks = new ArrayList<>();
    private final OffloadedInputs inputs;
    private final Working working;

    /// What all blocks compute their gradients in.
    private record Working(
            Tensor branch, Tensor gradient, Tensor dNormed, Tensor dQkv, Tensor dOut, Tensor dAct, Tensor logits) {}

    /// @param tokens T, the largest micro-batch
    /// @param chunkRows label rows whose logits exist at one time
    /// @param copies opens what copies to the host
    EngineBuffers(
            LlamaConfig c,
            List<Recompute> policies,
            ScalarType type,
            Device device,
            int tokens,
            int chunkRows,
            Supplier<Copies> copies) {
        this.device = device;
        this.type = type;
        this.tokens = tokens;
        this.inputs = new OffloadedInputs(policies, type, device, tokens, c.hiddenSize(), copies);
        try {
            working = make(c, policies, chunkRows);
        } catch (RuntimeException e) {
            close(); // there was no room for all of them
            throw e;
        }
    }

    private Working make(LlamaConfig c, List<Recompute> policies, int chunkRows) {
        boolean keepsAll = policies.stream().allMatch(Recompute.NONE::equals);
        Block shared = working(c, keepsAll ? 0 : tokens);
        for (int i = 0; i < policies.size(); i++) {
            blocks.add(block(c, policies.get(i), i, shared));
        }
        return new Working(
                rows(c.hiddenSize()),
                rows(c.hiddenSize()),
                rows(c.hiddenSize()),
                rows(c.qSize() + 2L * c.kvSize()),
                rows(c.qSize()),
                rows(c.intermediateSize()),
                keep(type, chunkRows, c.vocabSize()));
    }

    /// What blocks that compute it again share; x is another matter.
    private Block working(LlamaConfig c, int n) {
        return new Block(
                Recompute.NONE,
                keep(type, 0, c.hiddenSize()),
                keep(type, n, c.hiddenSize()),
                keep(ScalarType.Float, 0, 1),
                keep(type, n, c.qSize() + 2L * c.kvSize()),
                keep(type, n, c.qSize()),
                keep(type, n, c.hiddenSize()),
                keep(type, n, c.hiddenSize()),
                keep(ScalarType.Float, n, 1),
                keep(type, n, 2L * c.intermediateSize()),
                keep(type, n, c.intermediateSize()));
    }

    private Block block(LlamaConfig c, Recompute policy, int layer, Block shared) {
        boolean all = policy == Recompute.NONE;
        boolean selective = all || policy == Recompute.SELECTIVE;
        boolean attention = selective || policy == Recompute.FULL_KEEP_ATTENTION;
        return new Block(
                policy,
                policy == Recompute.OFFLOAD ? inputs.buffer(layer) : rows(c.hiddenSize()),
                all ? rows(c.hiddenSize()) : shared.normed1,
                keep(ScalarType.Float, tokens, 1),
                selective ? rows(c.qSize() + 2L * c.kvSize()) : shared.qkv,
                attention ? rows(c.qSize()) : shared.out,
                selective ? rows(c.hiddenSize()) : shared.h,
                all ? rows(c.hiddenSize()) : shared.normed2,
                selective ? keep(ScalarType.Float, tokens, 1) : shared.rstd2,
                selective ? rows(2L * c.intermediateSize()) : shared.gateUp,
                all ? rows(c.intermediateSize()) : shared.act);
    }

    /// Bytes of the buffers of an engine, without making them: what [#bytes] will say.
    ///
    /// @param elementBytes of an activation: 4 or 2
    static long plannedBytes(LlamaConfig c, List<Recompute> policies, int elementBytes, long tokens, long chunkRows) {
        long hidden = c.hiddenSize();
        long qkv = c.qSize() + 2L * c.kvSize();
        long ffn = c.intermediateSize();
        boolean keepsAll = policies.stream().allMatch(Recompute.NONE::equals);
        long shared = qkv + c.qSize() + 3 * hidden + 3 * ffn;
        long working = 3 * hidden + qkv + c.qSize() + ffn; // branch, gradient, dNormed; dQkv; dOut; dAct
        long elements = working + (keepsAll ? 0 : shared) + OffloadedInputs.onDevice(policies) * hidden;
        long floats = keepsAll ? 0 : 1;
        for (Recompute policy : policies) {
            floats += policy == Recompute.NONE || policy == Recompute.SELECTIVE ? 2 : 1;
            elements += switch (policy) {
                case NONE -> 4 * hidden + qkv + c.qSize() + 3 * ffn;
                case SELECTIVE -> 2 * hidden + qkv + c.qSize() + 2 * ffn;
                case FULL_KEEP_ATTENTION -> hidden + c.qSize();
                case FULL -> hidden;
                case OFFLOAD -> 0;
            };
        }
        return tokens * (elements * elementBytes + floats * 4) + chunkRows * c.vocabSize() * elementBytes;
    }

    private Tensor rows(long width) {
        return keep(type, tokens, width);
    }

    private Tensor keep(ScalarType type, long... shape) {
        Tensor buffer = Scopes.keep(() -> Tensors.empty(type, device, shape));
        all.add(buffer);
        return buffer;
    }

    /// T, the largest micro-batch.
    int tokens() {
        return tokens;
    }

    /// Bytes of all buffers on the device.
    long bytes() {
        return inputs.bytes() + all.stream().mapToLong(Tensor::nbytes).sum();
    }

    OffloadedInputs inputs() {
        return inputs;
    }

    Block block(int layer) {
        return blocks.get(layer);
    }

    /// (T, C): what a block's attention, then its MLP, adds to the residual stream.
    Tensor branch() {
        return working.branch();
    }

    /// (T, C): the gradient of the residual stream.
    Tensor gradient() {
        return working.gradient();
    }

    /// (T, C): the gradient of a norm's output.
    Tensor dNormed() {
        return working.dNormed();
    }

    /// (T, Q + 2 R).
    Tensor dQkv() {
        return working.dQkv();
    }

    /// (T, Q).
    Tensor dOut() {
        return working.dOut();
    }

    /// (T, F).
    Tensor dAct() {
        return working.dAct();
    }

    /// (chunk, V).
    Tensor logits() {
        return working.logits();
    }

    @Override
    public void close() {
        inputs.close();
        all.forEach(Scopes::free);
        all.clear();
    }
}
