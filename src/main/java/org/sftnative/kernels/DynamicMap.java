package org.sftnative.kernels;

/// The dynamic 8-bit map of bitsandbytes (arXiv 2110.02861): seven decades of magnitude from 1e-7 to 1, decade i with
/// 2^i codes (signed) or 2^(i+1) (unsigned) at the middles of equal intervals of [0.1, 1) of it, and 0 and 1
/// themselves.
/// Codes ascend with their values. Signed: code 127 is 0, code 255 is 1, and -1 has no code. Unsigned: code 0 is 0.
public final class DynamicMap {
    private static final int DECADES = 7;
    private static final int CODES = 256;
    private static final int SIGNED_ZERO = 127;

    private DynamicMap() {}

    /// The 256 values of the signed map, by code.
    public static float[] signed() {
        float[] magnitudes = magnitudes(1);
        float[] values = new float[CODES];
        for (int code = 0; code < CODES; code++) {
            values[code] = code < SIGNED_ZERO ? -magnitudes[SIGNED_ZERO - code] : magnitudes[code - SIGNED_ZERO];
        }
        return values;
    }

    /// The 256 values of the unsigned map, by code.
    public static float[] unsigned() {
        return magnitudes(2);
    }

    /// 0, then the middles in order, then 1.
    private static float[] magnitudes(int firstCount) {
        double[] tens = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0};
        float[] values = new float[firstCount * ((1 << DECADES) - 1) + 2];
        int at = 1;
        for (int decade = 0; decade < DECADES; decade++) {
            int count = firstCount << decade;
            for (int j = 0; j < count; j++) {
                values[at++] = (float) (tens[decade] * (0.1 + 0.9 * ((j + 0.5) / count)));
            }
        }
        values[at] = 1;
        return values;
    }
}
