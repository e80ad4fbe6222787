package org.sftnative.ops;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.sftnative.kernels.AdamW;
import org.sftnative.kernels.CudaKernels;
import org.sftnative.kernels.Dequantise;
import org.sftnative.kernels.Embedding;
import org.sftnative.kernels.EmbeddingPlan;
import org.sftnative.kernels.GradientNorm;
import org.sftnative.kernels.GradientType;
import org.sftnative.kernels.KernelSupport;
import org.sftnative.kernels.Rope;
import org.sftnative.ops.QuantisedMatrix.Scales;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// [Ops] through this program's own CUDA kernels, for bf16 activations and weights on one card.
/// Attention is libtorch's. One thread, libtorch's default stream but for what is recorded.
public final class CudaOps implements Ops {
    private final CudaKernels kernels;
    private final Device device;
    private long stream;
    private final AtenOps libtorch = new AtenOps();
    private final Map<String, Tensor> workspaces = new HashMap<>();
    private final Map<String, AdamW> optimizers = new HashMap<>();

    /// Whether the kernels can run on a card.
    public sealed interface Probe {
        /// @param arch what they were compiled for, `sm_90`
        record Ready(CudaOps ops, String arch) implements Probe {}

        /// @param reason one line, for the log
        record Missing(String reason) implements Probe {}
    }

    /// Compiles the kernels for a card, or takes them from the cache.
    public static Probe probe(Device device) {
        return switch (KernelSupport.probe(device.index())) {
            case KernelSupport.Ready(var kernels) -> new Probe.Ready(new CudaOps(kernels, device), kernels.arch());
            case KernelSupport.Missing(String reason) -> new Probe.Missing(reason);
        };
    }

    /// @param kernels of the card that `device` names
    private CudaOps(CudaKernels kernels, Device device) {
        this.kernels = kernels;
        this.device = device;
        this.stream = CudaRecorder.address(torch_cuda.getCurrentCUDAStream());
    }

    @Override
    public Optional<Recorder> recorder() {
        return Optional.of(new CudaRecorder(device, to -> stream = to));
    }

    @Override
    public void matmul(Form form, double scale, Tensor a, Tensor b, Tensor c, boolean add) {
        libtorch.matmul(form, scale, a, b, c, add);
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, double eps, Tensor y, Tensor rstd) {
        kernels.rmsNorm()
                .forward(at(x), 0, at(weight), 0, 0, at(y), at(rstd), rows(x), columns(x), (float) eps, stream);
    }

    @Override
    public void addRmsNorm(Tensor x, Tensor delta, Tensor weight, double eps, Tensor residual, Tensor y, Tensor rstd) {
        kernels.rmsNorm()
                .forward(
                        at(x),
                        at(delta),
                        at(weight),
                        0,
                        at(residual),
                        at(y),
                        at(rstd),
                        rows(x),
                        columns(x),
                        (float) eps,
                        stream);
    }

    @Override
    public void rmsNormAgain(Tensor x, Tensor weight, Tensor rstd, Tensor y) {
        kernels.rmsNorm().again(at(x), at(weight), at(rstd), at(y), rows(x), columns(x), stream);
    }

    @Override
    public void rmsNormBackward(Tensor dy, Tensor x, Tensor weight, Tensor rstd, Tensor dx, Tensor dWeight) {
        kernels.rmsNorm()
                .backward(
                        at(dy),
                        at(x),
                        at(weight),
                        at(rstd),
                        at(dx),
                        0,
                        at(dx),
                        at(dWeight),
                        type(dWeight),
                        true,
                        workspace("norm", kernels.rmsNorm().workspaceBytes(columns(x))),
                        rows(x),
                        columns(x),
                        stream);
    }

    @Override
    public void rope(Tensor qkv, Optional<Tensor> bias, Angles angles, Heads heads) {
        kernels.rope().forward(at(qkv), bias.map(CudaOps::at).orElse(0L), on(angles), on(heads), rows(qkv), stream);
    }

    @Override
    public AttentionState attention(Tensor qkv, Heads heads, Documents documents, Tensor out) {
        return CudaAttention.forward(qkv, heads, documents, out);
    }

    @Override
    public void attentionBackward(
            Tensor dOut,
            Tensor qkv,
            Tensor out,
            AttentionState state,
            Angles angles,
            Heads heads,
            Documents documents,
            Tensor dQkv) {
        Scopes.run(() -> {
            CudaAttention.Gradients g = CudaAttention.backward(dOut, qkv, out, state, heads, documents);
            kernels.rope()
                    .backward(
                            at(g.dq()),
                            at(g.dk()),
                            at(g.dv()),
                            (long) heads.query() * heads.size(),
                            (long) heads.kv() * heads.size(),
                            at(dQkv),
                            on(angles),
                            on(heads),
                            rows(qkv),
                            stream);
        });
    }

    @Override
    public void swiglu(Tensor gateUp, Tensor act) {
        kernels.swiGlu().forward(at(gateUp), at(act), rows(act), columns(act), stream);
    }

    @Override
    public void swigluBackward(Tensor dAct, Tensor gateUp, Tensor act) {
        kernels.swiGlu().backward(at(dAct), at(gateUp), at(act), rows(act), columns(act), stream);
    }

    @Override
    public Tensor crossEntropy(Tensor logits, Tensor targets, double scale) {
        return Scopes.yield(() -> {
            int vocabulary = columns(logits);
            Tensor losses = Tensors.empty(ScalarType.Float, device, rows(logits));
            kernels.crossEntropy()
                    .forwardBackward(
                            at(logits),
                            at(targets),
                            true,
                            at(losses),
                            rows(logits),
                            vocabulary,
                            vocabulary,
                            (float) scale,
                            stream);
            Tensor sum = Tensors.empty(ScalarType.Double, device, 1);
            kernels.gradientNorm().sum(at(losses), losses.numel(), at(sum), false, stream);
            return sum.to(ScalarType.Float).squeeze();
        });
    }

    @Override
    public void embedding(Ids ids, Tensor weight, Tensor x) {
        Scopes.run(() -> torch.index_select_out(x, weight, 0, ids.device()));
    }

    @Override
    public void embeddingBackward(Tensor dx, Ids ids, Tensor dWeight) {
        Scopes.run(() -> {
            EmbeddingPlan plan = EmbeddingPlan.of(ids.host(), (int) dWeight.size(0));
            Tensor order = ints(plan.order());
            Tensor starts = ints(plan.starts());
            Tensor unique = ints(plan.unique());
            kernels.embedding()
                    .backward(
                            at(dx),
                            new Embedding.Plan(
                                    at(order), at(starts), at(unique), plan.unique().length, plan.frequent()),
                            at(dWeight),
                            columns(dx),
                            type(dWeight),
                            true,
                            stream);
        });
    }

    @Override
    public void biasBackward(Tensor dy, Tensor dBias) {
        int n = columns(dy);
        kernels.columns()
                .sum(
                        at(dy),
                        at(dBias),
                        rows(dy),
                        n,
                        type(dBias),
                        true,
                        workspace("bias", kernels.columns().workspaceBytes(n)),
                        stream);
    }

    @Override
    public Tensor clip(Tensor gradients, double maxNorm) {
        return Scopes.yield(() -> {
            GradientNorm norm = kernels.gradientNorm();
            Tensor squares = Tensors.empty(ScalarType.Double, device, 1);
            Tensor clip = Tensors.empty(ScalarType.Float, device, GradientNorm.CLIP_BYTES / 4);
            norm.squares(
                    at(gradients),
                    type(gradients),
                    gradients.numel(),
                    at(squares),
                    false,
                    workspace("squares", norm.workspaceBytes()),
                    stream);
            norm.clip(at(squares), (float) maxNorm, at(clip), stream);
            return clip;
        });
    }

    @Override
    public void adamw(Tensor weights, Tensor gradients, AdamWState s, AdamWUpdate u, Tensor clip) {
        AdamW.Weights kind = AdamW.Weights.valueOf(s.masters().name());
        AdamW.Moments moments = AdamW.Moments.valueOf(s.moments().name());
        GradientType type = type(gradients);
        optimizers
                .computeIfAbsent(kind + " " + moments + " " + type, _ -> kernels.adamW(kind, moments, type))
                .update(
                        new AdamW.Buffers(
                                at(weights),
                                at(s.low()),
                                at(gradients),
                                at(s.m()),
                                at(s.v()),
                                at(s.mScale()),
                                at(s.vScale()),
                                weights.numel(),
                                first(s, u),
                                first(s, u) + u.decayed(),
                                0),
                        new AdamW.Step(
                                u.learningRate(),
                                u.beta1(),
                                u.beta2(),
                                u.epsilon(),
                                u.weightDecay(),
                                Math.toIntExact(u.step()),
                                u.seed()),
                        at(clip),
                        stream);
    }

    /// Where there are no random bits, places need not be multiples of a block.
    private static long first(AdamWState s, AdamWUpdate u) {
        return s.masters() == AdamWState.Masters.STOCHASTIC || s.moments() != AdamWState.Moments.FP32 ? u.first() : 0;
    }

    @Override
    public void dequantise(QuantisedMatrix weights, Tensor to) {
        if (!Tensors.is(to, ScalarType.BFloat16)) {
            Dequantisation.into(weights, to);
            return;
        }
        Dequantise.Target target =
                new Dequantise.Target(at(to), weights.rows(), Math.toIntExact(weights.columns()), to.stride(0));
        Dequantise kernel = kernels.dequantise();
        switch (weights) {
            case QuantisedMatrix.Int8 m -> kernel.int8(at(m.codes()), at(m.absmax()), target, stream);
            case QuantisedMatrix.Nf4 m -> {
                long values = at(m.tables().values());
                switch (m.scales()) {
                    case Scales.Plain s -> kernel.nf4(at(m.codes()), values, at(s.absmax()), target, stream);
                    case Scales.Quantised s ->
                        kernel.nf4(
                                at(m.codes()),
                                values,
                                at(s.codes()),
                                at(m.tables().scaleValues()),
                                at(s.absmax()),
                                at(s.offset()),
                                target,
                                stream);
                }
            }
        }
    }

    private Tensor ints(int[] values) {
        return Tensors.ofInts(values, device).to(ScalarType.Int);
    }

    /// Memory to work in, kept for as long as this object; a smaller one too, which recordings may use.
    private long workspace(String purpose, long bytes) {
        Tensor kept = workspaces.get(purpose);
        if (kept == null || kept.nbytes() < bytes) {
            kept = Scopes.keep(() -> Tensors.empty(ScalarType.Byte, device, bytes));
            workspaces.put(purpose, kept);
        }
        return at(kept);
    }

    private static Rope.Angles on(Angles angles) {
        return new Rope.Angles(at(angles.cos()), at(angles.sin()), at(angles.rows()));
    }

    private static Rope.Heads on(Heads heads) {
        return new Rope.Heads(heads.query(), heads.kv(), heads.size());
    }

    private static GradientType type(Tensor gradient) {
        return Tensors.is(gradient, ScalarType.Float) ? GradientType.FP32 : GradientType.BF16;
    }

    private static int rows(Tensor x) {
        return Math.toIntExact(x.size(0));
    }

    private static int columns(Tensor x) {
        return Math.toIntExact(x.size(1));
    }

    /// The device address of a tensor; 0 for an empty one.
    private static long at(Tensor tensor) {
        return tensor.numel() == 0 ? 0 : tensor.data_ptr().address();
    }
}
