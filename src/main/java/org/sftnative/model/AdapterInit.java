package org.sftnative.model;

import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.config.LoraInit;
import org.sftnative.tensor.Tensors;

/// Fresh adapters, distributed as PEFT's: B zero, so that the model is the base at first. The values of a tensor are a
/// function of the seed and its name, on any device.
public final class AdapterInit {
    private static final long[] ROWS = {1};

    private AdapterInit() {}

    /// Fills As, Bs, magnitudes and copies of what is trained in full.
    public static void fill(Adapters adapters, FrozenBase base, long seed) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (AdapterSpec spec : adapters.specs()) {
                try (PointerScope _ = new PointerScope()) {
                    fill(adapters, spec, base, seed);
                }
            }
            for (String name : adapters.saved()) {
                adapters.saved(name).orElseThrow().copy_(base.weight(name));
            }
        }
    }

    private static void fill(Adapters adapters, AdapterSpec spec, FrozenBase base, long seed) {
        Tensor a = adapters.a(spec);
        if (adapters.config().init() != LoraInit.PISSA) {
            a.copy_(random(spec, adapters.config().init(), seed, a));
            adapters.b(spec).zero_();
        }
        if (spec.dora()) {
            Tensor sum = base.weight(spec.weight())
                    .to(ScalarType.Float)
                    .add(torch.mm(adapters.b(spec), a), new Scalar(spec.scaling()));
            adapters.magnitude(spec)
                    .copy_(torch.linalg_vector_norm(sum, new Scalar(2.0), ROWS, false, new ScalarTypeOptional()));
        }
    }

    private static Tensor random(AdapterSpec spec, LoraInit init, long seed, Tensor a) {
        RandomGenerator random = new SplittableRandom(new SplittableRandom(seed).nextLong()
                ^ new SplittableRandom(spec.module().hashCode()).nextLong());
        double bound = 1 / Math.sqrt(spec.in()); // kaiming_uniform_(a = sqrt(5)): what torch gives a linear layer
        float[] values = new float[(int) a.numel()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float)
                    (init == LoraInit.GAUSSIAN
                            ? random.nextGaussian() / spec.rank()
                            : bound * (2 * random.nextDouble() - 1));
        }
        return Tensors.ofFloats(values, a.device(), a.shape());
    }
}
