package org.sftnative.model;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/// Fresh weights as transformers makes them: matrices and embeddings normal with the config's standard
/// deviation, norms one, biases zero. The same seed gives the same weights on the same device.
public final class Initialisation {
    private Initialisation() {}

    public static void fill(Parameters parameters, LlamaConfig config, long seed) {
        torch.manual_seed(seed);
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (ParameterLayout.Slot slot : parameters.layout().slots().values()) {
                Tensor weight = parameters.weight(slot.name());
                if (slot.decay()) {
                    weight.normal_(0, config.initializerRange(), new GeneratorOptional());
                } else if (slot.name().endsWith("bias")) {
                    weight.zero_();
                } else {
                    weight.fill_(new Scalar(1.0));
                }
            }
        }
    }
}
