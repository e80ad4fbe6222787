package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class DynamicMapTest {
    @Test
    void codesAscendAndHoldZeroAndOne() {
        for (float[] map : new float[][] {DynamicMap.signed(), DynamicMap.unsigned()}) {
            assertEquals(256, map.length);
            for (int code = 1; code < 256; code++) {
                assertTrue(map[code] > map[code - 1], "code " + code);
            }
            assertEquals(1, map[255]);
        }
        assertEquals(0, DynamicMap.signed()[127]);
        assertEquals(0, DynamicMap.unsigned()[0]);
    }

    /// Worked out by hand from the definition: each decade's interval [0.1, 1) of it is cut into equal parts.
    @Test
    void valuesAreTheMiddlesOfTheirIntervals() {
        float[] signed = DynamicMap.signed();
        assertEquals(0.55e-6, signed[128], 1e-13, "the first decade has one code: the middle of 0.1 and 1");
        assertEquals(-0.55e-6, signed[126], 1e-13);
        assertEquals(3.25e-6, signed[129], 1e-12, "the second two: 3.25 and 7.75");
        assertEquals(7.75e-6, signed[130], 1e-12);
        assertEquals(1 - 0.45 / 64, signed[254], 1e-7, "the last 64");
        assertEquals(-(1 - 0.45 / 64), signed[0], 1e-7);
        float[] unsigned = DynamicMap.unsigned();
        assertEquals(0.325e-6, unsigned[1], 1e-13);
        assertEquals(0.775e-6, unsigned[2], 1e-13);
        assertEquals(1 - 0.45 / 128, unsigned[254], 1e-7);
    }

    @Test
    void encodingIsToTheNearestCode() {
        float[] map = DynamicMap.signed();
        for (int i = -20_000; i <= 20_000; i++) {
            float x = (float) (Math.signum(i) * Math.pow(10, -8 * (1 - Math.abs(i) / 20_000.0)));
            int code = AdamWReference.encodeM(x);
            double best = Double.MAX_VALUE;
            for (float value : map) {
                best = Math.min(best, Math.abs((double) value - x));
            }
            // at a tie to within fp32 either neighbour will do
            assertEquals(best, Math.abs((double) map[code] - x), 2e-7 * Math.abs(x), "x " + x);
        }
        for (int code = 0; code < 256; code++) {
            assertEquals(code, AdamWReference.encodeM(map[code]), "a value of the map keeps its code");
        }
    }

    @Test
    void stochasticEncodingIsUnbiasedAndNeverMakesZero() {
        float[] map = DynamicMap.unsigned();
        for (double exponent = -6.5; exponent <= 0; exponent += 0.01) {
            float x = (float) Math.pow(10, exponent);
            double sum = 0;
            for (int random = 0; random < 1 << 16; random += 64) {
                int code = AdamWReference.encodeV(x, random + 32);
                assertTrue(code > 0);
                sum += map[code];
            }
            // 1,024 even draws resolve the fraction between two codes to 1/1,024; the first code holds what is below
            if (x > map[1]) {
                assertEquals(x, sum / 1024, 1e-3 * x, "x " + x);
            }
        }
        assertEquals(0, AdamWReference.encodeV(0, 0xffff));
        assertEquals(255, AdamWReference.encodeV(1, 0xffff));
        assertEquals(255, AdamWReference.encodeV(1, 0));
    }
}
