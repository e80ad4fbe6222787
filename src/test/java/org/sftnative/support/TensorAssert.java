package org.sftnative.support;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Assertions;
import org.sftnative.tensor.Tensors;

/// Comparisons of whole tensors that say how many elements differ, where the worst is, and both values.
public final class TensorAssert {
    private TensorAssert() {}

    /// Every element within `tolerance` of the expected one, absolutely.
    public static void assertClose(String what, float[] expected, float[] actual, double tolerance) {
        Assertions.assertEquals(expected.length, actual.length, () -> what + ": number of elements");
        int wrong = 0;
        int worst = 0;
        double largest = -1;
        for (int i = 0; i < expected.length; i++) {
            double difference = Math.abs((double) expected[i] - actual[i]);
            if (!(difference <= tolerance)) {
                wrong++;
            }
            if (difference > largest || Double.isNaN(difference)) {
                largest = difference;
                worst = i;
            }
        }
        if (wrong > 0) {
            Assertions.fail(
                    what + ": " + wrong + " of " + expected.length + " elements differ by more than " + tolerance
                            + ", the worst at " + worst + ": expected " + expected[worst] + ", was " + actual[worst]);
        }
    }

    /// Every element within `tolerance` of the expected one, as a part of the largest expected value.
    public static void assertCloseToScale(String what, float[] expected, float[] actual, double tolerance) {
        double scale = 0;
        for (float e : expected) {
            scale = Math.max(scale, Math.abs(e));
        }
        assertClose(what, expected, actual, tolerance * scale);
    }

    /// |actual - expected| / |expected| over the whole tensor, in fp64, at most `tolerance`. Two zero tensors are
    /// equal.
    ///
    /// @return the error measured
    public static double assertNormClose(String what, float[] expected, float[] actual, double tolerance) {
        Assertions.assertEquals(expected.length, actual.length, () -> what + ": number of elements");
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            double d = (double) actual[i] - expected[i];
            difference += d * d;
            norm += (double) expected[i] * expected[i];
        }
        double error = difference == 0 ? 0 : Math.sqrt(difference / norm);
        if (!(error <= tolerance)) {
            assertClose(what + " (norm-relative error " + error + ", allowed " + tolerance + ")", expected, actual, 0);
        }
        return error;
    }

    /// Every bit equal; NaN equals NaN of the same bits.
    public static void assertBitEqual(String what, Tensor expected, Tensor actual) {
        try (PointerScope _ = new PointerScope()) {
            Assertions.assertTrue(Tensors.is(actual, expected.scalar_type()), () -> what + ": dtype");
            long[] e = bits(expected);
            long[] a = bits(actual);
            Assertions.assertEquals(e.length, a.length, () -> what + ": number of elements");
            int wrong = 0;
            int first = -1;
            for (int i = 0; i < e.length; i++) {
                if (e[i] != a[i]) {
                    wrong++;
                    first = first < 0 ? i : first;
                }
            }
            if (wrong > 0) {
                int at = first;
                int count = wrong;
                Assertions.fail(() -> what + ": " + count + " of " + e.length + " elements differ, the first at " + at
                        + ": expected " + Tensors.floats(expected)[at] + ", was " + Tensors.floats(actual)[at]);
            }
        }
    }

    private static long[] bits(Tensor tensor) {
        ScalarType as = tensor.element_size() == 4 ? ScalarType.Int : ScalarType.Short;
        return Tensors.longs(tensor.detach().contiguous().view(as));
    }
}
