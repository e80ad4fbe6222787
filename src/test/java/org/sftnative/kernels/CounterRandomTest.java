package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.junit.jupiter.api.Test;

class CounterRandomTest {
    /// The known answers of Random123's distribution.
    @Test
    void philoxGivesItsPublishedAnswers() {
        assertArrayEquals(
                new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                CounterRandom.philox(new int[] {0, 0, 0, 0}, 0));
        assertArrayEquals(
                new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                CounterRandom.philox(new int[] {-1, -1, -1, -1}, -1L));
        assertArrayEquals(
                new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
                CounterRandom.philox(new int[] {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822L));
    }

    @Test
    void everyPartOfTheNameOfAValueChangesItsBits() {
        long index = 1L << 36;
        int[] bits = {
            CounterRandom.bits16(1, 1, 0, 0, index),
            CounterRandom.bits16(2, 1, 0, 0, index),
            CounterRandom.bits16(1, 2, 0, 0, index),
            CounterRandom.bits16(1, 1, 1, 0, index),
            CounterRandom.bits16(1, 1, 0, 1, index),
            CounterRandom.bits16(1, 1, 0, 0, index + 1),
            CounterRandom.bits16(1, 1, 0, 0, 2 * index)
        };
        for (int i = 0; i < bits.length; i++) {
            for (int j = 0; j < i; j++) {
                assertNotEquals(bits[i], bits[j], i + " and " + j);
            }
        }
    }

    @Test
    void valuesOfAGroupAreIndependent() {
        // correlation of neighbours over 2^16 groups: standard error 1/256, bound five of them
        int groups = 1 << 16;
        for (int k = 0; k < 7; k++) {
            double sum = 0;
            for (long g = 0; g < groups; g++) {
                double a = CounterRandom.bits16(9, 1, 0, 0, 8 * g + k) - 32767.5;
                double b = CounterRandom.bits16(9, 1, 0, 0, 8 * g + k + 1) - 32767.5;
                sum += a * b;
            }
            double variance = 65536.0 * 65536.0 / 12;
            assertEquals(0, sum / groups / variance, 5.0 / 256);
        }
    }
}
