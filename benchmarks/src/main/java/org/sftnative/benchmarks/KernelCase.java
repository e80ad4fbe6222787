package org.sftnative.benchmarks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The kernels that are timed alone, each with its input and what it must give.
public enum KernelCase {
    RMS_NORM(4) {
        @Override
        void build(Task t) {
            Tensor x = t.normal(t.tokens, C);
            Tensor w = t.normal(C);
            Tensor y = t.result(t.normal(t.tokens, C));
            Tensor rstd = t.floats(t.tokens, 1);
            t.call = ops -> ops.rmsNorm(x, w, 1e-5, y, rstd);
        }
    },
    ADD_RMS_NORM(8) {
        @Override
        void build(Task t) {
            Tensor x = t.normal(t.tokens, C);
            Tensor delta = t.normal(t.tokens, C);
            Tensor w = t.normal(C);
            Tensor residual = t.result(t.normal(t.tokens, C));
            Tensor y = t.result(t.normal(t.tokens, C));
            Tensor rstd = t.floats(t.tokens, 1);
            t.call = ops -> ops.addRmsNorm(x, delta, w, 1e-5, residual, y, rstd);
        }
    },
    RMS_NORM_BACKWARD(8) {
        @Override
        void build(Task t) {
            Tensor dy = t.normal(t.tokens, C);
            Tensor x = t.normal(t.tokens, C);
            Tensor w = t.normal(C);
            Tensor rstd = t.floats(t.tokens, 1);
            rstd.add_(new org.bytedeco.pytorch.Scalar(1.0));
            Tensor dx = t.result(t.overwritten(t.normal(t.tokens, C)));
            Tensor dw = t.result(t.overwritten(t.normal(C)));
            t.call = ops -> ops.rmsNormBackward(dy, x, w, rstd, dx, dw);
        }
    },
    SWIGLU(6 * Size.F_OVER_C) {
        @Override
        void build(Task t) {
            Tensor gateUp = t.normal(t.tokens, 2L * F);
            Tensor act = t.result(t.normal(t.tokens, F));
            t.call = ops -> ops.swiglu(gateUp, act);
        }
    },
    SWIGLU_BACKWARD(12 * Size.F_OVER_C) {
        @Override
        void build(Task t) {
            Tensor dAct = t.overwritten(t.normal(t.tokens, F));
            Tensor gateUp = t.result(t.overwritten(t.normal(t.tokens, 2L * F)));
            Tensor act = t.result(t.normal(t.tokens, F));
            t.call = ops -> ops.swigluBackward(dAct, gateUp, act);
        }
    },
    CROSS_ENTROPY(Size.V_OVER_C) {
        @Override
        void build(Task t) {
            long rows = Math.max(1, t.tokens / 4);
            Tensor logits = t.result(t.overwritten(t.normal(rows, V)));
            Tensor targets = t.ids(rows);
            t.call = ops -> {
                try (PointerScope _ = new PointerScope()) {
                    ops.crossEntropy(logits, targets, 1e-3);
                }
            };
        }
    },
    ROPE(8) {
        @Override
        void build(Task t) {
            Ops.Heads heads = new Ops.Heads(H, H, C / H);
            Tensor qkv = t.result(t.overwritten(t.normal(t.tokens, 3L * C)));
            Tensor view = t.keep(qkv.view(t.tokens, heads.all(), heads.size()));
            Ops.Angles angles = t.angles(heads.size());
            t.call = ops -> ops.rope(view, Optional.empty(), angles, heads);
        }
    },
    EMBEDDING_BACKWARD(6) {
        @Override
        void build(Task t) {
            Tensor dx = t.normal(t.tokens, C);
            Tensor ids = t.ids(t.tokens);
            int[] host =
                    Arrays.stream(Tensors.longs(ids)).mapToInt(i -> (int) i).toArray();
            Tensor dWeight = t.result(t.overwritten(t.normal(V, C)));
            t.call = ops -> ops.embeddingBackward(dx, new Ops.Ids(ids, host), dWeight);
        }
    },
    BIAS_BACKWARD(2) {
        @Override
        void build(Task t) {
            Tensor dy = t.normal(t.tokens, C);
            Tensor dBias = t.result(t.overwritten(t.normal(C)));
            t.call = ops -> ops.biasBackward(dy, dBias);
        }
    },
    CLIP(2) {
        @Override
        void build(Task t) {
            Tensor gradients = t.keep(t.normal(t.tokens, C).view(t.tokens * C));
            t.call = ops -> {
                try (PointerScope _ = new PointerScope()) {
                    ops.clip(gradients, 1.0);
                }
            };
        }
    },
    ADAMW_SPLIT_BF16(18) {
        @Override
        void build(Task t) {
            t.adamw(AdamWState.Masters.SPLIT, AdamWState.Moments.BF16);
        }
    },
    ADAMW_SPLIT_FP32(26) {
        @Override
        void build(Task t) {
            t.adamw(AdamWState.Masters.SPLIT, AdamWState.Moments.FP32);
        }
    };

    /// Tokens that are timed.
    static final long TOKENS = 16_384;

    private static final long CHECKED = 64;
    private static final int C = Size.C;
    private static final int F = Size.F;
    private static final int V = Size.V;
    private static final int H = 32;
    /// Relative distance (norms) that bf16 rounding explains.
    private static final double TOLERANCE = 1e-2;

    private final double bytesAnElement;

    /// @param bytesAnElement bytes that must move, over tokens x C
    KernelCase(double bytesAnElement) {
        this.bytesAnElement = bytesAnElement;
    }

    abstract void build(Task task);

    /// Input for a number of tokens on a device: bf16 on a card, the same values in fp32 on the CPU.
    Task task(long tokens, Device device) {
        Task task = new Task(tokens, device, bytesAnElement * tokens * C);
        Scopes.run(() -> build(task));
        return task;
    }

    /// @throws IllegalStateException if a result on the card is not that of [AtenOps] in fp32
    void check(Ops ops, Device device) {
        try (Task here = task(CHECKED, device);
                Task there = task(CHECKED, Devices.cpu());
                PointerScope _ = new PointerScope()) {
            here.run(ops);
            there.run(new AtenOps());
            for (int i = 0; i < here.results.size(); i++) {
                Tensor expected = there.results.get(i).to(ScalarType.Float);
                Tensor found = Tensors.to(here.results.get(i), Devices.cpu()).to(ScalarType.Float);
                double distance = found.sub(expected).norm().item_double()
                        / expected.norm().item_double();
                if (!(distance < TOLERANCE)) {
                    throw new IllegalStateException(this + ", result " + i + " is off by " + distance);
                }
            }
        }
    }

    /// Of a 7B model.
    private static final class Size {
        static final int C = 4096;
        static final int F = 11_008;
        static final int V = 32_000;
        static final double F_OVER_C = (double) F / C;
        static final double V_OVER_C = (double) V / C;
    }

    /// One kernel's tensors and its call.
    static final class Task implements AutoCloseable {
        private interface Call {
            void on(Ops ops);
        }

        final long tokens;
        private final Device device;
        private final double bytes;
        private final SplittableRandom random = new SplittableRandom(7);
        private final List<Tensor> kept = new ArrayList<>();
        private final List<Tensor> results = new ArrayList<>();
        private final Map<Tensor, Tensor> originals = new HashMap<>();
        private Call call = _ -> {};

        private Task(long tokens, Device device, double bytes) {
            this.tokens = tokens;
            this.device = device;
            this.bytes = bytes;
        }

        void run(Ops ops) {
            call.on(ops);
        }

        double bytes() {
            return bytes;
        }

        boolean overwrites() {
            return !originals.isEmpty();
        }

        /// Input that the last call overwrote.
        void renew() {
            Scopes.run(() -> originals.forEach((tensor, original) -> tensor.copy_(original)));
        }

        /// Normal values that bf16 holds; 64 rows, repeated.
        private Tensor normal(long... shape) {
            long columns = shape[shape.length - 1];
            long rows = shape.length == 1 ? 1 : shape[0];
            long made = Math.min(rows, CHECKED);
            float[] values = new float[(int) (made * columns)];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) random.nextGaussian();
            }
            return keep(Scopes.yield(() -> {
                Tensor block = Tensors.to(
                        Tensors.ofFloats(values, Devices.cpu(), made, columns).to(ScalarType.BFloat16), device);
                Tensor all = block.repeat(Math.ceilDiv(rows, made), 1).narrow(0, 0, rows);
                Tensor typed = Devices.isCuda(device) ? all.contiguous() : all.to(ScalarType.Float);
                return shape.length == 1 ? typed.view(columns) : typed;
            }));
        }

        private Tensor floats(long... shape) {
            return keep(Scopes.yield(() -> Tensors.zeros(ScalarType.Float, device, shape)));
        }

        private Tensor ids(long n) {
            long[] ids = new long[(int) n];
            for (int i = 0; i < n; i++) {
                ids[i] = (long) (V * Math.pow(random.nextDouble(), 3)); // some are frequent, as in text
            }
            return keep(Scopes.yield(() -> Tensors.ofLongs(ids, device)));
        }

        private Ops.Angles angles(int size) {
            float[] cos = new float[(int) tokens * size / 2];
            float[] sin = new float[cos.length];
            int[] rows = new int[(int) tokens];
            for (int i = 0; i < cos.length; i++) {
                cos[i] = (float) Math.cos(i);
                sin[i] = (float) Math.sin(i);
            }
            Arrays.setAll(rows, i -> i);
            return new Ops.Angles(
                    keep(Scopes.yield(() -> Tensors.ofFloats(cos, device, tokens, size / 2))),
                    keep(Scopes.yield(() -> Tensors.ofFloats(sin, device, tokens, size / 2))),
                    keep(Scopes.yield(() -> Tensors.ofInts(rows, device).to(ScalarType.Int))));
        }

        private void adamw(AdamWState.Masters masters, AdamWState.Moments moments) {
            long n = tokens * C;
            boolean cuda = Devices.isCuda(device);
            Tensor weights = result(keep(normal(tokens, C).view(n)));
            Tensor gradients = keep(normal(tokens, C).view(n));
            Tensor clip = keep(Scopes.yield(() -> Tensors.ofFloats(new float[] {1, 1, 1}, device, 3)));
            AdamWState state = cuda
                    ? AdamWState.create(masters, moments, n, device)
                    : AdamWState.create(AdamWState.Masters.FP32, AdamWState.Moments.FP32, n, device);
            closing.add(state);
            AdamWUpdate update = new AdamWUpdate(1e-3, 0.9, 0.999, 1e-8, 0.01, 0, 0, 1, 1);
            call = ops -> ops.adamw(weights, gradients, state, update, clip);
        }

        private final List<AutoCloseable> closing = new ArrayList<>();

        private Tensor result(Tensor tensor) {
            results.add(tensor);
            return tensor;
        }

        private Tensor overwritten(Tensor tensor) {
            originals.put(tensor, keep(Scopes.yield(tensor::clone)));
            return tensor;
        }

        private Tensor keep(Tensor tensor) {
            Tensor alone = Scopes.keep(() -> new Tensor(tensor));
            kept.add(alone);
            return alone;
        }

        @Override
        public void close() {
            kept.forEach(Scopes::free);
            closing.forEach(c -> {
                try {
                    c.close();
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
        }
    }
}
