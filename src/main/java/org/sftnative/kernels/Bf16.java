package org.sftnative.kernels;

/// bf16 as its 16-bit pattern, and the split of an fp32 master into the bf16 that is trained with and the 16 bits that
/// bring it back: what the kernels do, on the host, for checkpoints and tests.
public final class Bf16 {
    private static final int EXPONENT = 0x7f800000;
    private static final int MANTISSA = 0x007fffff;

    private Bf16() {}

    /// fp32 of a bf16, exact.
    public static float toFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /// To nearest, ties to even. NaN becomes 0x7fff, as the card's conversion makes it.
    public static short round(float x) {
        int bits = Float.floatToRawIntBits(x);
        if (Float.isNaN(x)) {
            return 0x7fff;
        }
        return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
    }

    /// Rounded up or down in proportion to nearness; infinities and NaN are kept.
    ///
    /// @param random16 16 uniform bits
    public static short roundStochastic(float x, int random16) {
        int bits = Float.floatToRawIntBits(x);
        if ((bits & EXPONENT) == EXPONENT) {
            return nonFinite(bits);
        }
        return (short) ((bits + random16) >>> 16);
    }

    /// A master as (hi << 16) | lo: hi is the master rounded to bf16 with ties away from zero, and
    /// (hi << 16) + signed(lo) are the master's bits. Infinities and NaN have lo 0, and a NaN stays one.
    public static int split(float master) {
        int bits = Float.floatToRawIntBits(master);
        if ((bits & EXPONENT) == EXPONENT) {
            return nonFinite(bits) << 16;
        }
        return (bits + 0x8000 & 0xffff0000) | (bits & 0xffff);
    }

    /// The master again.
    public static float join(short hi, short lo) {
        return Float.intBitsToFloat((hi << 16) + lo);
    }

    private static short nonFinite(int bits) {
        return (short) ((bits >>> 16) | ((bits & MANTISSA) != 0 ? 0x40 : 0));
    }
}
