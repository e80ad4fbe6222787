package org.sftnative.ops;

import static org.sftnative.tensor.Aten.list;
import static org.sftnative.tensor.Aten.none;
import static org.sftnative.tensor.Aten.of;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// [Ops] through libtorch's own kernels.
public final class AtenOps implements Ops {
    private static final long[] FIRST = {0};
    private static final long[] LAST = {-1};
    private static final long ROW = 512;

    @Override
    public void rmsNorm(Tensor x, Tensor weight, double eps, Tensor y, Tensor rstd) {
        Scopes.run(() -> {
            Tensor wide = x.to(ScalarType.Float);
            Tensor mean = wide.mul(wide).mean(LAST, true, new ScalarTypeOptional());
            torch.rsqrt_out(rstd, mean.add_(new Scalar(eps)));
            scaled(wide, rstd, weight, y);
        });
    }

    @Override
    public void addRmsNorm(Tensor x, Tensor delta, Tensor weight, double eps, Tensor residual, Tensor y, Tensor rstd) {
        Scopes.run(() -> torch.add_out(residual, x, delta));
        rmsNorm(residual, weight, eps, y, rstd);
    }

    @Override
    public void rmsNormAgain(Tensor x, Tensor weight, Tensor rstd, Tensor y) {
        Scopes.run(() -> scaled(x.to(ScalarType.Float), rstd, weight, y));
    }

    /// The normalised value is rounded to the activations' dtype before the weight is applied, as LlamaRMSNorm does.
    private static void scaled(Tensor wide, Tensor rstd, Tensor weight, Tensor y) {
        torch.mul_out(y, wide, rstd);
        y.mul_(weight);
    }

    @Override
    public void rmsNormBackward(Tensor dy, Tensor x, Tensor weight, Tensor rstd, Tensor dx, Tensor dWeight) {
        Scopes.run(() -> {
            Tensor g = dy.to(ScalarType.Float);
            Tensor normed = x.to(ScalarType.Float).mul(rstd);
            dWeight.add_(g.mul(normed).sum(FIRST, false, new ScalarTypeOptional()));
            Tensor scaled = g.mul(weight);
            Tensor dot = scaled.mul(normed).mean(LAST, true, new ScalarTypeOptional());
            dx.add_(scaled.sub_(normed.mul_(dot)).mul_(rstd));
        });
    }

    @Override
    public void rope(Tensor heads, Tensor cos, Tensor sin, boolean inverse) {
        Scopes.run(() -> {
            long half = heads.size(2) / 2;
            Tensor first = heads.narrow(2, 0, half);
            Tensor second = heads.narrow(2, half, half);
            Tensor c = cos.narrow(2, 0, half);
            Tensor s = inverse ? sin.narrow(2, 0, half).neg() : sin.narrow(2, 0, half);
            Tensor rotated = first.mul(c).sub_(second.mul(s));
            second.mul_(c).add_(first.mul(s));
            first.copy_(rotated);
        });
    }

    @Override
    public AttentionState attention(Tensor qkv, Heads heads, Documents documents, Tensor out) {
        return DocumentAttention.forward(qkv, heads, documents, out);
    }

    @Override
    public void attentionBackward(
            Tensor dOut, Tensor qkv, Tensor out, AttentionState state, Heads heads, Documents documents, Tensor dQkv) {
        DocumentAttention.backward(dOut, qkv, out, state, heads, documents, dQkv);
    }

    @Override
    public void swiglu(Tensor gateUp, Tensor act) {
        Scopes.run(() -> {
            long f = act.size(1);
            torch.silu_out(act, gateUp.narrow(1, 0, f));
            act.mul_(gateUp.narrow(1, f, f));
        });
    }

    @Override
    public void swigluBackward(Tensor dAct, Tensor gateUp, Tensor act) {
        Scopes.run(() -> {
            long f = act.size(1);
            Tensor gate = gateUp.narrow(1, 0, f);
            Tensor up = gateUp.narrow(1, f, f);
            torch.silu_out(act, gate);
            Tensor dSilu = dAct.mul(up);
            Tensor dUp = dAct.mul(act);
            act.mul_(up);
            gate.copy_(torch.silu_backward(dSilu, gate));
            up.copy_(dUp);
        });
    }

    @Override
    public Tensor crossEntropy(Tensor logits, Tensor targets, double scale) {
        return Scopes.yield(() -> {
            Tensor logProbabilities = torch.log_softmax(logits, 1, new ScalarTypeOptional(ScalarType.Float));
            Tensor column = targets.unsqueeze(1);
            Tensor loss = logProbabilities.gather(1, column).sum().neg();
            Tensor p = logProbabilities.exp_();
            p.scatter_add_(
                    1,
                    column,
                    torch.full(column.shape(), new Scalar(-1.0), Tensors.options(ScalarType.Float, logits.device())));
            logits.copy_(p.mul_(new Scalar(scale)));
            return loss;
        });
    }

    @Override
    public void embeddingBackward(Tensor dx, Tensor ids, Tensor dWeight) {
        Scopes.run(() -> dWeight.index_add_(0, ids, dx));
    }

    @Override
    public void adamw(Tensor weights, Tensor gradients, Tensor m, Tensor v, AdamWUpdate a) {
        Scopes.run(() -> {
            Tensor step = Tensors.zeros(ScalarType.Float, weights.device()).add_(new Scalar(a.step()));
            Aten.call(
                    "aten::_fused_adamw_",
                    list(weights),
                    list(gradients),
                    list(m),
                    list(v),
                    list(),
                    list(step),
                    of(a.learningRate()),
                    of(a.beta1()),
                    of(a.beta2()),
                    of(a.weightDecay()),
                    of(a.epsilon()),
                    of(false),
                    of(false),
                    none(),
                    none());
        });
    }

    @Override
    public Tensor norm(Tensor flat) {
        // rows first: on a CPU one sum over 6 million squares in fp32 is off by 7e-4
        return Scopes.yield(() -> {
            long rows = flat.numel() / ROW;
            Tensor norms = norm(flat.narrow(0, 0, rows * ROW).view(rows, ROW), LAST, ScalarType.Float);
            Tensor rest = norm(flat.narrow(0, rows * ROW, flat.numel() - rows * ROW), LAST, ScalarType.Float);
            return norm(torch.cat(new TensorVector(norms, rest.view(1)), 0), FIRST, ScalarType.Double);
        });
    }

    private static Tensor norm(Tensor x, long[] over, ScalarType in) {
        return torch.linalg_vector_norm(x, new Scalar(2.0), over, false, new ScalarTypeOptional(in));
    }
}
