package org.sftnative.model;

import java.nio.file.Path;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.io.ModelDirectory;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// Adapters with random values, saved for tests of what reads them.
public final class RandomAdapter {
    private RandomAdapter() {}

    /// Saves an adapter for a model. Magnitudes are those of the weights, off by up to a tenth; modules trained in full
    /// are the model's, likewise.
    ///
    /// @param scale of A's and B's values
    public static void save(Path directory, Path model, AdapterConfig config, long seed, double scale) {
        try (ModelDirectory from = ModelDirectory.open(model)) {
            LlamaConfig shape = LlamaConfig.of(from.config());
            try (Parameters weights = LlamaFiles.load(from, shape, Dtype.F32, Devices.cpu());
                    Adapters adapters = Adapters.of(config, shape, Devices.cpu());
                    PointerScope _ = new PointerScope();
                    NoGradGuard _ = new NoGradGuard()) {
                Random random = new Random(seed);
                for (AdapterSpec spec : adapters.specs()) {
                    fill(adapters.a(spec), random, scale);
                    fill(adapters.b(spec), random, scale);
                    if (spec.dora()) {
                        Tensor norms =
                                weights.weight(spec.weight()).square().sum(1).sqrt();
                        Tensor noise = Tensors.empty(ScalarType.Float, Devices.cpu(), spec.out());
                        fill(noise, random, 0.1);
                        adapters.magnitude(spec).copy_(norms.mul(noise.exp()));
                    }
                }
                for (String name : adapters.saved()) {
                    Tensor weight = weights.weight(name);
                    Tensor noise = Tensors.empty(ScalarType.Float, Devices.cpu(), weight.shape());
                    fill(noise, random, 0.1);
                    adapters.saved(name).orElseThrow().copy_(weight.mul(noise.exp()));
                }
                AdapterFiles.save(
                        directory, config, LlamaFiles.sources(adapters.trained(), Dtype.F32), model.toString());
            }
        }
    }

    private static void fill(Tensor tensor, Random random, double scale) {
        float[] values = new float[(int) tensor.numel()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (scale * random.nextGaussian());
        }
        tensor.copy_(Tensors.ofFloats(values, Devices.cpu(), tensor.shape()));
    }
}
