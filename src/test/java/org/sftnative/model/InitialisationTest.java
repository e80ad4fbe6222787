package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.sftnative.tensor.Tensors;

/// Fresh weights are distributed as transformers' are.
class InitialisationTest {
    @Test
    void matricesAreNormalWithTheConfigsDeviationNormsOneBiasesZero() {
        try (GoldenModel golden = GoldenModel.load("biases")) {
            Initialisation.fill(golden.parameters(), golden.config(), 11);
            double sum = 0;
            double squares = 0;
            long n = 0;
            for (ParameterLayout.Slot slot :
                    golden.parameters().layout().slots().values()) {
                float[] values = Tensors.floats(golden.parameters().weight(slot.name()));
                for (float value : values) {
                    if (slot.decay()) {
                        sum += value;
                        squares += (double) value * value;
                        n++;
                    } else {
                        assertEquals(slot.name().endsWith("bias") ? 0 : 1, value, slot.name());
                    }
                }
            }
            double sigma = golden.config().initializerRange();
            assertEquals(0, sum / n, 5 * sigma / Math.sqrt(n));
            assertEquals(sigma, Math.sqrt(squares / n), 5 * sigma / Math.sqrt(2.0 * n));
        }
    }
}
