package org.sftnative.ops;

import java.util.Optional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// [Ops] through libtorch's own kernels.
public final class AtenOps implements Ops {
    private static final long[] FIRST = {0};
    private static final long[] LAST = {-1};
    private static final long ROW = 512;
    private static final Scalar ZERO = Scopes.keep(() -> new Scalar(0.0));
    private static final Scalar ONE = Scopes.keep(() -> new Scalar(1.0));

    @Override
    public void matmul(Form form, double scale, Tensor a, Tensor b, Tensor c, boolean add) {
        Scopes.run(() -> {
            boolean widened = !Tensors.is(a, c.scalar_type()) && !a.is_cuda();
            Tensor left = widened ? a.to(ScalarType.Float) : a;
            Tensor right = widened ? b.to(ScalarType.Float) : b;
            left = form == Form.TN ? left.t() : left;
            right = form == Form.NT ? right.t() : right;
            boolean same = Tensors.is(left, c.scalar_type());
            if (scale != 1 && same) {
                torch.addmm_out(c, c, left, right, add ? ONE : ZERO, new Scalar(scale));
            } else if (scale != 1) {
                torch.addmm_out(c, c, left, right, ScalarType.Float, add ? ONE : ZERO, new Scalar(scale));
            } else if (same && add) {
                c.addmm_(left, right);
            } else if (same) {
                torch.mm_out(c, left, right);
            } else if (add) {
                torch.addmm_out(c, c, left, right, ScalarType.Float);
            } else {
                torch.mm_out(c, left, right, ScalarType.Float);
            }
        });
    }

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
            // with g = dy: dw = sum over rows of g x rstd; dx = g w rstd - x rstd^3 mean(g w x)
            Tensor g = dy.to(ScalarType.Float);
            Tensor wide = x.to(ScalarType.Float);
            Tensor w = weight.to(ScalarType.Float);
            Tensor product = g.mul(wide);
            Tensor dot = torch.mv(product, w).div_(new Scalar((double) x.size(1)));
            dWeight.add_(product.mul_(rstd).sum(FIRST, false, new ScalarTypeOptional())); // pairwise, unlike mv
            Tensor shrink = torch.pow(rstd, new Scalar(3.0)).mul_(dot.unsqueeze(1));
            Tensor scaled = torch.mul_out(product, g, w);
            dx.add_(scaled.mul_(rstd).addcmul_(wide, shrink, new Scalar(-1.0)));
        });
    }

    @Override
    public void rope(Tensor qkv, Optional<Tensor> bias, Angles angles, Heads heads) {
        Scopes.run(() -> {
            bias.ifPresent(b -> qkv.add_(b.view(heads.all(), heads.size())));
            rotate(qkv.narrow(1, 0, heads.query() + heads.kv()), angles, false);
        });
    }

    private static void rotate(Tensor heads, Angles angles, boolean inverse) {
        long half = heads.size(2) / 2;
        Tensor first = heads.narrow(2, 0, half);
        Tensor second = heads.narrow(2, half, half);
        Tensor c = angles.cos().unsqueeze(1).to(heads.scalar_type());
        Tensor s = angles.sin().unsqueeze(1).to(heads.scalar_type());
        Tensor sin = inverse ? s.neg() : s;
        Tensor rotated = first.mul(c).sub_(second.mul(sin));
        second.mul_(c).add_(first.mul(sin));
        first.copy_(rotated);
    }

    @Override
    public AttentionState attention(Tensor qkv, Heads heads, Documents documents, Tensor out) {
        return qkv.is_cuda()
                ? CudaAttention.forward(qkv, heads, documents, out)
                : DocumentAttention.forward(qkv, heads, documents, out);
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
        if (qkv.is_cuda()) {
            Scopes.run(() -> {
                CudaAttention.Gradients g = CudaAttention.backward(dOut, qkv, out, state, heads, documents);
                torch.cat_out(dQkv, new TensorVector(g.dq(), g.dk(), g.dv()), 1);
            });
        } else {
            DocumentAttention.backward(dOut, qkv, out, state, heads, documents, dQkv);
        }
        Scopes.run(() -> rotate(dQkv.narrow(1, 0, heads.query() + heads.kv()), angles, true));
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
            Tensor silu = torch.silu(gate);
            torch.mul_out(act, silu, up);
            silu.mul_(dAct); // now the gradient of up
            torch.silu_backward_out(gate, dAct.mul_(up), gate);
            up.copy_(silu);
        });
    }

    @Override
    public Tensor crossEntropy(Tensor logits, Tensor targets, double scale) {
        return Scopes.yield(() -> {
            boolean wide = Tensors.is(logits, ScalarType.Float);
            Tensor p = wide ? logits : logits.to(ScalarType.Float);
            torch.log_softmax_out(
                    p, p, 1, new ScalarTypeOptional()); // in place: a row is read whole before it is written
            // rows without a target come on cards only
            Optional<Tensor> asked = targets.is_cuda()
                    ? Optional.of(targets.ge(new Scalar(0L)).unsqueeze(1).to(ScalarType.Float))
                    : Optional.empty();
            Tensor column = (targets.is_cuda() ? targets.clamp_min(new Scalar(0L)) : targets).unsqueeze(1);
            Tensor likelihoods = p.gather(1, column);
            asked.ifPresent(likelihoods::mul_);
            Tensor loss = likelihoods.sum().neg();
            p.exp_().mul_(new Scalar(scale));
            Tensor minus =
                    torch.full(column.shape(), new Scalar(-scale), Tensors.options(ScalarType.Float, logits.device()));
            asked.ifPresent(mask -> {
                p.mul_(mask);
                minus.mul_(mask);
            });
            p.scatter_add_(1, column, minus);
            if (!wide) {
                logits.copy_(p);
            }
            return loss;
        });
    }

    @Override
    public void embedding(Ids ids, Tensor weight, Tensor x) {
        Scopes.run(() -> torch.index_select_out(x, weight, 0, ids.device()));
    }

    @Override
    public void embeddingBackward(Tensor dx, Ids ids, Tensor dWeight) {
        Scopes.run(() -> dWeight.index_add_(0, ids.device(), dx.to(dWeight.scalar_type())));
    }

    @Override
    public void biasBackward(Tensor dy, Tensor dBias) {
        Scopes.run(() -> dBias.add_(dy.sum(FIRST, false, new ScalarTypeOptional(ScalarType.Float))));
    }

    @Override
    public Tensor clip(Tensor gradients, double maxNorm) {
        return Scopes.yield(() -> {
            double norm = norm(gradients).item_double();
            double factor = maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1; // as clip_grad_norm_
            float[] clip = {(float) norm, (float) factor, Double.isFinite(norm) ? 1 : 0};
            return Tensors.ofFloats(clip, Devices.cpu(), clip.length);
        });
    }

    private static Tensor norm(Tensor flat) {
        // rows first: on a CPU one sum over 6 million squares in fp32 is off by 7e-4
        long rows = flat.numel() / ROW;
        Tensor norms = norm(flat.narrow(0, 0, rows * ROW).view(rows, ROW), LAST, ScalarType.Float);
        Tensor rest = norm(flat.narrow(0, rows * ROW, flat.numel() - rows * ROW), LAST, ScalarType.Float);
        return norm(torch.cat(new TensorVector(norms, rest.view(1)), 0), FIRST, ScalarType.Double);
    }

    private static Tensor norm(Tensor x, long[] over, ScalarType in) {
        return torch.linalg_vector_norm(x, new Scalar(2.0), over, false, new ScalarTypeOptional(in));
    }

    @Override
    public void adamw(Tensor weights, Tensor gradients, AdamWState state, AdamWUpdate update, Tensor clip) {
        AtenAdamW.update(weights, gradients, state, update, Tensors.floats(clip));
    }
}
