package org.sftnative.ops;

import static org.sftnative.tensor.Aten.list;
import static org.sftnative.tensor.Aten.none;
import static org.sftnative.tensor.Aten.of;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// AdamW through libtorch's fused kernel, with fp32 moments, over fp32 weights or split masters.
final class AtenAdamW {
    /// Elements of the masters that are put together at one time.
    private static final long CHUNK = 1L << 24;

    private AtenAdamW() {}

    /// @param clip norm, factor, finite flag
    static void update(Tensor weights, Tensor gradients, AdamWState s, AdamWUpdate u, float[] clip) {
        boolean known = s.moments() == Moments.FP32 && s.masters() != Masters.STOCHASTIC;
        if (!known) {
            throw new UnsupportedOperationException(
                    s.masters() + " weights with " + s.moments() + " moments need the CUDA kernels");
        }
        if (clip[2] == 0) {
            return;
        }
        if (clip[1] < 1) {
            Scopes.run(() -> gradients.mul_(new Scalar(clip[1])));
        }
        long n = weights.numel();
        for (long from = 0; from < n; ) {
            boolean decays = from < u.decayed();
            long to = Math.min(decays ? u.decayed() : n, from + CHUNK);
            part(weights, gradients, s, u, decays ? u.weightDecay() : 0, from, to - from);
            from = to;
        }
    }

    private static void part(
            Tensor weights, Tensor gradients, AdamWState s, AdamWUpdate u, double decay, long from, long n) {
        Scopes.run(() -> {
            Tensor w = weights.narrow(0, from, n);
            Tensor master = switch (s.masters()) {
                case SPLIT -> joined(w, s.low().narrow(0, from, n));
                default -> w.to(ScalarType.Float);
            };
            fused(
                    master,
                    gradients.narrow(0, from, n).to(ScalarType.Float),
                    s.m().narrow(0, from, n),
                    s.v().narrow(0, from, n),
                    u,
                    decay);
            switch (s.masters()) {
                case SPLIT -> split(master, w, s.low().narrow(0, from, n));
                case NONE -> w.copy_(master);
                default -> {} // fp32 weights were updated in place
            }
        });
    }

    private static void fused(Tensor weights, Tensor gradients, Tensor m, Tensor v, AdamWUpdate u, double decay) {
        Tensor step = Tensors.zeros(ScalarType.Float, weights.device()).add_(new Scalar(u.step()));
        Aten.call(
                "aten::_fused_adamw_",
                list(weights),
                list(gradients),
                list(m),
                list(v),
                list(),
                list(step),
                of(u.learningRate()),
                of(u.beta1()),
                of(u.beta2()),
                of(decay),
                of(u.epsilon()),
                of(false),
                of(false),
                none(),
                none());
    }

    /// The fp32 master: bits = (hi << 16) + signed(lo).
    ///
    /// @param hi (n) bf16
    /// @param lo (n) int16
    static Tensor joined(Tensor hi, Tensor lo) {
        Tensor bits = hi.view(ScalarType.Short).to(ScalarType.Int).bitwise_left_shift(new Scalar(16));
        return bits.add_(lo.to(ScalarType.Int)).view(ScalarType.Float);
    }

    /// hi = (bits + 0x8000) >> 16, lo the rest: the master rounded half away from zero. Infinities and NaN keep their
    /// upper half, NaN quieted, since adding to their bits would make other numbers of them.
    static void split(Tensor master, Tensor hi, Tensor lo) {
        Tensor bits = master.view(ScalarType.Int);
        Tensor finite = torch.isfinite(master);
        Tensor rounded = bits.add(new Scalar(0x8000));
        Tensor upper = torch.where(finite, rounded, bits).bitwise_right_shift(new Scalar(16));
        upper = torch.where(torch.isnan(master), upper.bitwise_or(new Scalar(0x40)), upper);
        hi.view(ScalarType.Short).copy_(upper);
        Tensor rest = bits.sub(upper.bitwise_left_shift(new Scalar(16)));
        lo.copy_(rest.mul_(finite));
    }
}
