package org.sftnative.model;

import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Ops.Form;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// A frozen product with adapters: y = x W^T + s u B^T, u = x A^T. The gradient of W is never computed.
///
/// q, k and v read the same x, gate and up as well: their As are one matrix, so that x is read once for all of them,
/// forward and for dA. Cost of the adapters for T rows, r the sum of a product's ranks: forward 2 T r (in + out)
/// operations, backward twice that; u (T, r) is kept for every product, so that nothing is computed again for dB. The
/// adapters' part of y and of dx is written first, where it reaches every column, and the frozen product added to it:
/// the other way, a product of a few operations a byte would read and write all of y once more.
///
/// With dropout each adapter has an input of its own, and with DoRA (arXiv 2402.09353) each row of the sum is scaled to
/// its magnitude: y = g (x W^T + s u B^T), g = m / |W + s B A|, the norm without a gradient, as PEFT has it; both cost
/// passes over (T, in) or (T, out), and DoRA one more product with W.
final class AdaptedProduct implements Product {
    private static final long[] FIRST = {0};
    private static final long[] LAST = {1};

    /// The adapter of some rows of the product.
    ///
    /// @param from first row of W that it is for
    /// @param at first column of its part of u
    /// @param a (r, in) as computed with
    /// @param b (out, r) likewise
    /// @param dA (r, in) fp32
    /// @param dB (out, r) fp32
    /// @param magnitude (out) fp32 and its gradient; absent without DoRA
    record Part(
            AdapterSpec spec,
            long from,
            long at,
            Tensor a,
            Tensor b,
            Tensor dA,
            Tensor dB,
            Optional<Magnitude> magnitude) {
        Tensor columns(Tensor y) {
            return y.narrow(1, from, spec.out());
        }

        Tensor low(Tensor u) {
            return u.narrow(1, at, spec.rank());
        }
    }

    /// @param value m
    /// @param gradient of m
    /// @param norm |W + s B A|, of this step
    /// @param factor g = m / norm
    record Magnitude(Tensor value, Tensor gradient, Tensor norm, Tensor factor) {}

    private final FrozenMatrix frozen;
    private final Ops ops;
    private final List<Part> parts;
    private final Tensor a; // (r, in), of all parts
    private final Tensor dA;
    private final long ranks;
    private final boolean dora;
    private final boolean covers; // whether every column of y has an adapter
    private Tensor kept; // (T, r): u
    private boolean stale = true; // whether the norms are of weights before

    /// @param parts not empty; their As and the As' gradients lie side by side
    /// @param a (r, in) the As of all parts
    /// @param dA (r, in) fp32
    AdaptedProduct(FrozenMatrix frozen, List<Part> parts, Tensor a, Tensor dA, Ops ops) {
        this.frozen = frozen;
        this.ops = ops;
        this.parts = parts;
        this.a = a;
        this.dA = dA;
        this.ranks = parts.stream().mapToLong(p -> p.spec().rank()).sum();
        this.dora = parts.stream().anyMatch(p -> p.magnitude().isPresent());
        this.covers = parts.stream().mapToLong(p -> p.spec().out()).sum() == frozen.rows();
    }

    /// Makes room for u of so many rows.
    void reserve(ScalarType type, Device device, long tokens) {
        free();
        kept = Scopes.keep(() -> Tensors.empty(type, device, tokens, ranks));
    }

    long keptBytes() {
        return kept == null ? 0 : kept.nbytes();
    }

    void free() {
        if (kept != null) {
            Scopes.free(kept);
            kept = null;
        }
    }

    /// The adapters may have changed.
    void refresh() {
        stale = dora;
    }

    /// The norms of this step's W + s B A: once a step, in fp32, where W is at hand.
    private void norms(Tensor w) {
        Scopes.run(() -> {
            for (Part part : parts) {
                part.magnitude().ifPresent(m -> {
                    Tensor sum = torch.addmm(
                            w.narrow(0, part.from(), part.spec().out()).to(ScalarType.Float),
                            part.b().to(ScalarType.Float),
                            part.a().to(ScalarType.Float),
                            new Scalar(1.0),
                            new Scalar(part.spec().scaling()));
                    torch.linalg_vector_norm_out(m.norm(), sum, new Scalar(2.0), LAST, false, new ScalarTypeOptional());
                    torch.div_out(m.factor(), m.value(), m.norm());
                });
            }
        });
    }

    @Override
    public void forward(Tensor x, Tensor y, Optional<AdapterDropout> dropout) {
        Scopes.run(() -> {
            Tensor u = kept.narrow(0, 0, x.size(0));
            if (dropout.isEmpty()) {
                ops.matmul(Form.NT, x, a, u, false);
            }
            Tensor w = frozen.get();
            if (stale) {
                norms(w);
                stale = false;
            }
            boolean first = covers && !(dora && dropout.isPresent());
            if (!first) {
                ops.matmul(Form.NT, x, w, y, false);
            }
            for (Part part : parts) {
                Tensor low = part.low(u);
                Optional<Tensor> dropped = dropout.map(d -> d.drop(part.spec().module(), x));
                dropped.ifPresent(in -> ops.matmul(Form.NT, in, part.a(), low, false));
                if (dropped.isPresent() && part.magnitude().isPresent()) {
                    droppedDora(part, part.magnitude().get(), dropped.get(), w, low, part.columns(y));
                } else {
                    ops.matmul(Form.NT, part.spec().scaling(), low, part.b(), part.columns(y), !first);
                }
            }
            if (first) {
                ops.matmul(Form.NT, x, w, y, true);
            }
            if (dropout.isEmpty()) {
                parts.forEach(
                        part -> part.magnitude().ifPresent(m -> part.columns(y).mul_(m.factor())));
            }
        });
    }

    /// PEFT: the magnitude's part of the frozen product, too, is of the dropped input.
    private static void droppedDora(Part part, Magnitude m, Tensor x, Tensor w, Tensor low, Tensor columns) {
        Tensor g = m.factor();
        Tensor rows = w.narrow(0, part.from(), part.spec().out());
        columns.add_(torch.mm(x, rows.t()).mul_(g.sub(new Scalar(1.0))));
        columns.add_(torch.mm(low, part.b().t()).mul_(g), new Scalar(part.spec().scaling()));
    }

    @Override
    public Flow inputGradient(Tensor dy, Tensor dx, Optional<AdapterDropout> dropout) {
        Flow flow = noInputGradient(dy);
        Scopes.run(() -> {
            Tensor v = flow.low().getFirst();
            Tensor w = frozen.get();
            if (dropout.isEmpty()) {
                ops.matmul(Form.NN, v, a, dx, false);
                ops.matmul(Form.NN, dora ? flow.scaled().getFirst() : dy, w, dx, true);
                return;
            }
            ops.matmul(Form.NN, dy, w, dx, false);
            for (Part part : parts) {
                Tensor branch = torch.mm(part.low(v), part.a());
                part.magnitude().ifPresent(m -> {
                    Tensor rest = part.columns(dy)
                            .mul(m.factor().sub(new Scalar(1.0)))
                            .to(dy.scalar_type());
                    branch.addmm_(rest, w.narrow(0, part.from(), part.spec().out()));
                });
                dx.add_(dropout.get().drop(part.spec().module(), branch));
            }
        });
        return flow;
    }

    @Override
    public Flow noInputGradient(Tensor dy) {
        Tensor scaled = dora ? scaled(dy) : dy;
        Tensor v = Tensors.empty(dy.scalar_type(), dy.device(), dy.size(0), ranks);
        for (Part part : parts) {
            Scopes.run(() ->
                    ops.matmul(Form.NN, part.spec().scaling(), part.columns(scaled), part.b(), part.low(v), false));
        }
        return new Flow(List.of(v), dora ? List.of(scaled) : List.of());
    }

    private Tensor scaled(Tensor dy) {
        return Scopes.yield(() -> {
            Tensor scaled = dy.clone();
            parts.forEach(
                    part -> part.magnitude().ifPresent(m -> part.columns(scaled).mul_(m.factor())));
            return scaled;
        });
    }

    @Override
    public void weightGradient(Tensor dy, Tensor x, Flow flow, boolean fresh, Optional<AdapterDropout> dropout) {
        Scopes.run(() -> {
            Tensor u = kept.narrow(0, 0, x.size(0));
            Tensor v = flow.low().getFirst();
            Tensor scaled = dora ? flow.scaled().getFirst() : dy;
            if (dropout.isEmpty()) {
                ops.matmul(Form.TN, v, x, dA, true);
            }
            for (Part part : parts) {
                ops.matmul(Form.TN, part.spec().scaling(), part.columns(scaled), part.low(u), part.dB(), true);
                Tensor in = dropout.map(d -> d.drop(part.spec().module(), x)).orElse(x);
                if (dropout.isPresent()) {
                    ops.matmul(Form.TN, part.low(v), in, part.dA(), true);
                }
                part.magnitude().ifPresent(m -> magnitudeGradient(part, m, part.columns(dy), in, part.low(u)));
            }
        });
    }

    /// dm = the sum over rows of dy (x W^T + s u B^T) / norm. The product is computed again: kept, it would be a
    /// (T, out) of every block.
    private void magnitudeGradient(Part part, Magnitude m, Tensor dy, Tensor x, Tensor u) {
        Scopes.run(() -> {
            Tensor rows = frozen.get().narrow(0, part.from(), part.spec().out());
            Tensor sum = torch.mm(x, rows.t())
                    .addmm_(
                            u,
                            part.b().t(),
                            new Scalar(1.0),
                            new Scalar(part.spec().scaling()));
            Tensor wide = sum.to(ScalarType.Float).mul_(dy).sum(FIRST, false, new ScalarTypeOptional());
            m.gradient().add_(wide.div_(m.norm()));
        });
    }
}
