package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class Bf16Test {
    /// Upper halves at every edge: zeros, subnormals, one, the largest finite, of both signs.
    private static final int[] HIGH = {
        0x0000, 0x8000, 0x0001, 0x8001, 0x007f, 0x0080, 0x3f7f, 0x3f80, 0xbf80, 0x4049, 0x7f7f, 0xff7f
    };

    @Test
    void everyLowHalfComesBackExactly() {
        for (int high : HIGH) {
            for (int low = 0; low < 1 << 16; low++) {
                int bits = high << 16 | low;
                int split = Bf16.split(Float.intBitsToFloat(bits));
                float joined = Bf16.join((short) (split >>> 16), (short) split);
                assertEquals(bits, Float.floatToRawIntBits(joined), () -> Integer.toHexString(bits));
            }
        }
    }

    @Test
    void theUpperHalfIsTheMasterRoundedHalfAwayFromZero() {
        assertEquals(0x3f81, Bf16.split(Float.intBitsToFloat(0x3f808000)) >>> 16, "a tie goes away from zero");
        assertEquals(0xbf81, Bf16.split(Float.intBitsToFloat(0xbf808000)) >>> 16, "on both sides");
        assertEquals(0x3f80, Bf16.split(Float.intBitsToFloat(0x3f807fff)) >>> 16);
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < 100_000; i++) {
            float x = Float.intBitsToFloat(random.nextInt());
            if (Float.isFinite(x) && (Float.floatToRawIntBits(x) & 0xffff) != 0x8000) {
                assertEquals((short) (Bf16.split(x) >>> 16), Bf16.round(x), () -> "off ties as to nearest: " + x);
            }
        }
    }

    @Test
    void nonFiniteMastersStayWhatTheyAre() {
        for (int bits : new int[] {0x7f800000, 0xff800000}) {
            assertEquals(bits, Bf16.split(Float.intBitsToFloat(bits)), "infinity has no low half");
        }
        for (int bits : new int[] {0x7f800001, 0x7fffffff, 0xff800001, 0x7fc00000, 0x7f808000, 0xffffffff}) {
            int split = Bf16.split(Float.intBitsToFloat(bits));
            assertEquals(0, split & 0xffff);
            assertTrue(Float.isNaN(Bf16.toFloat((short) (split >>> 16))), () -> Integer.toHexString(bits));
            assertTrue(Float.isNaN(Bf16.toFloat(Bf16.roundStochastic(Float.intBitsToFloat(bits), 0xffff))));
            assertTrue(Float.isNaN(Bf16.toFloat(Bf16.round(Float.intBitsToFloat(bits)))));
        }
    }

    @Test
    void stochasticRoundingIsUnbiasedOverItsBits() {
        // over all 65,536 random values the mean is exact: x lies low/65536 of the way between its neighbours
        for (int low : new int[] {0, 1, 0x1234, 0x8000, 0xfffe, 0xffff}) {
            int up = 0;
            for (int random = 0; random < 1 << 16; random++) {
                up += Bf16.roundStochastic(Float.intBitsToFloat(0x3f800000 | low), random) - 0x3f80;
            }
            assertEquals(low, up);
        }
    }

    @Test
    void stochasticRoundingOfCountedBitsIsUnbiased() {
        // 2^18 draws at 0.3 of a unit: the standard error is 0.0009, the bound five of them
        float x = Float.intBitsToFloat(0x3f800000 + (int) (0.3 * 65536));
        int draws = 1 << 18;
        int up = 0;
        for (int i = 0; i < draws; i++) {
            up += Bf16.roundStochastic(x, CounterRandom.bits16(42, 3, 1, 1, i)) - 0x3f80;
        }
        assertEquals(0.3, (double) up / draws, 0.0045);
    }
}
