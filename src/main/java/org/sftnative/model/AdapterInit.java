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

/// Fresh adapters, distributed as PEFT's: B zero, so that the model is the base at first, the values of a tensor a
/// function of the seed and its name, on any device; or, for [Pissa], the largest singular values of the matrix.
public final class AdapterInit {
    private static final long[] ROWS = {1};
    private static final int WIDER = 16; // columns of a subspace beyond the rank, at least

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
        if (adapters.config().init() == LoraInit.PISSA) {
            largest(adapters, spec, base.weight(spec.weight()), seed);
        } else {
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

    /// B = U sqrt(S / s), A = sqrt(S / s) V of the largest singular values: s B A is the nearest matrix of rank r.
    private static void largest(Adapters adapters, AdapterSpec spec, Tensor weight, long seed) {
        int most = (int) Math.min(spec.in(), spec.out());
        int columns = Math.min(most, spec.rank() + Math.max(spec.rank(), WIDER));
        RandomGenerator random = generator(spec, seed);
        float[] start = new float[Math.toIntExact(spec.out() * columns)];
        for (int i = 0; i < start.length; i++) {
            start[i] = (float) random.nextGaussian();
        }
        SingularValues found = SingularValues.largest(
                weight.to(ScalarType.Float),
                spec.rank(),
                Tensors.ofFloats(start, weight.device(), spec.out(), columns));
        Tensor root = found.s().div(new Scalar(spec.scaling())).sqrt();
        adapters.b(spec).copy_(found.u().mul(root));
        adapters.a(spec).copy_(found.v().mul(root.unsqueeze(1)));
    }

    private static RandomGenerator generator(AdapterSpec spec, long seed) {
        return new SplittableRandom(new SplittableRandom(seed).nextLong()
                ^ new SplittableRandom(spec.module().hashCode()).nextLong());
    }

    private static Tensor random(AdapterSpec spec, LoraInit init, long seed, Tensor a) {
        RandomGenerator random = generator(spec, seed);
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
