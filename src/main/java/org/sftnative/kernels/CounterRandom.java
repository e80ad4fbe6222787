package org.sftnative.kernels;

/// Philox4x32-10 (Salmon et al., SC 2011), a function from (key, counter) to 128 random bits: the optimizer's random
/// bits on the host, the same as on the card.
public final class CounterRandom {
    private static final int ROUNDS = 10;
    private static final long MULTIPLIER_0 = 0xD2511F53L;
    private static final long MULTIPLIER_1 = 0xCD9E8D57L;
    private static final int WEYL_0 = 0x9E3779B9;
    private static final int WEYL_1 = 0xBB67AE85;

    private CounterRandom() {}

    /// @param counter 4 words
    /// @param key 2 words, low first, as one long
    /// @return 4 words
    public static int[] philox(int[] counter, long key) {
        int a = counter[0];
        int b = counter[1];
        int c = counter[2];
        int d = counter[3];
        int k0 = (int) key;
        int k1 = (int) (key >>> 32);
        for (int round = 0; round < ROUNDS; round++) {
            long product0 = MULTIPLIER_0 * Integer.toUnsignedLong(a);
            long product1 = MULTIPLIER_1 * Integer.toUnsignedLong(c);
            a = (int) (product1 >>> 32) ^ b ^ k0;
            b = (int) product1;
            c = (int) (product0 >>> 32) ^ d ^ k1;
            d = (int) product0;
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        return new int[] {a, b, c, d};
    }

    /// The 16 bits that round a value of the optimizer.
    ///
    /// @param index global index of the element
    /// @param buffer its flat buffer's number
    /// @param purpose 0 second moment, 1 weight
    public static int bits16(long seed, int step, int buffer, int purpose, long index) {
        long group = index >>> 3;
        int[] words = philox(new int[] {(int) group, (int) (group >>> 32), step, 2 * buffer + purpose}, seed);
        int k = (int) (index & 7);
        return words[k >> 1] >>> (16 * (k & 1)) & 0xffff;
    }
}
