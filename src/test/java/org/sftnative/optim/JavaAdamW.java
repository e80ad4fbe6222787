package org.sftnative.optim;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.kernels.AdamW;
import org.sftnative.kernels.AdamWReference;
import org.sftnative.ops.AdamWState;
import org.sftnative.ops.AdamWUpdate;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.support.OpsCalls;
import org.sftnative.tensor.Tensors;

/// The card's AdamW on the CPU, in every mode and bit for bit: with what the kernel asks of addresses,
/// blocks and counts, and with random bits that depend on an element's place in the run's whole buffer.
final class JavaAdamW {
    private JavaAdamW() {}

    /// The mathematics of the CPU, but for this.
    static Ops ops() {
        AtenOps others = new AtenOps();
        return OpsCalls.to((method, a) -> {
            if (!method.getName().equals("adamw")) {
                return method.invoke(others, a);
            }
            update((Tensor) a[0], (Tensor) a[1], (AdamWState) a[2], (AdamWUpdate) a[3], (Tensor) a[4]);
            return null;
        });
    }

    private static void update(Tensor weights, Tensor gradients, AdamWState s, AdamWUpdate u, Tensor clip) {
        if (Tensors.floats(clip)[2] == 0) {
            return;
        }
        boolean places = s.masters() == AdamWState.Masters.STOCHASTIC || s.moments() != AdamWState.Moments.FP32;
        long first = places ? u.first() : 0; // as CudaOps has it
        int n = (int) weights.numel();
        new AdamW.Buffers(
                at(weights),
                at(s.low()),
                at(gradients),
                at(s.m()),
                at(s.v()),
                at(s.mScale()),
                at(s.vScale()),
                n,
                first,
                first + u.decayed(),
                0); // says what it does not take
        AdamWReference r = new AdamWReference(
                AdamW.Weights.valueOf(s.masters().name()),
                AdamW.Moments.valueOf(s.moments().name()),
                new float[n]);
        read(weights, r.w);
        read(s.m(), r.m);
        read(s.v(), r.v);
        read(s.low(), r.low);
        read(s.mScale(), r.mScale);
        read(s.vScale(), r.vScale);
        AdamW.Step step = new AdamW.Step(
                u.learningRate(), u.beta1(), u.beta2(), u.epsilon(), u.weightDecay(), (int) u.step(), u.seed());
        r.update(Tensors.floats(gradients), Tensors.floats(clip)[1], step, first, first + u.decayed(), 0);
        write(weights, r.w);
        write(s.m(), r.m);
        write(s.v(), r.v);
        if (s.low().numel() > 0) {
            Tensors.memory(s.low()).copyFrom(MemorySegment.ofArray(r.low));
        }
        if (s.mScale().numel() > 0) {
            Tensors.memory(s.mScale()).copyFrom(MemorySegment.ofArray(r.mScale));
            Tensors.memory(s.vScale()).copyFrom(MemorySegment.ofArray(r.vScale));
        }
    }

    private static long at(Tensor tensor) {
        return tensor.numel() == 0 ? 0 : tensor.data_ptr().address();
    }

    private static void read(Tensor from, int[] to) {
        MemorySegment memory = Tensors.memory(from);
        for (int i = 0; i < to.length; i++) {
            to[i] = switch ((int) from.element_size()) {
                case 1 -> memory.get(JAVA_BYTE, i) & 0xff;
                case 2 -> memory.get(JAVA_SHORT_UNALIGNED, 2L * i) & 0xffff;
                default -> memory.get(JAVA_INT_UNALIGNED, 4L * i);
            };
        }
    }

    private static void write(Tensor to, int[] from) {
        MemorySegment memory = Tensors.memory(to);
        for (int i = 0; i < from.length; i++) {
            switch ((int) to.element_size()) {
                case 1 -> memory.set(JAVA_BYTE, i, (byte) from[i]);
                case 2 -> memory.set(JAVA_SHORT_UNALIGNED, 2L * i, (short) from[i]);
                default -> memory.set(JAVA_INT_UNALIGNED, 4L * i, from[i]);
            }
        }
    }

    private static void read(Tensor from, short[] to) {
        if (from.numel() > 0) {
            MemorySegment.copy(Tensors.memory(from), JAVA_SHORT_UNALIGNED, 0, to, 0, to.length);
        }
    }

    private static void read(Tensor from, float[] to) {
        if (from.numel() > 0) {
            MemorySegment.copy(Tensors.memory(from), JAVA_FLOAT_UNALIGNED, 0, to, 0, to.length);
        }
    }
}
