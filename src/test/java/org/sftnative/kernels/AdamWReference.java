package org.sftnative.kernels;

import java.util.Arrays;

/// `native/adamw.cu` in Java, bit for bit: what the kernel must do, in plain loops. State is held as the kernel's
/// buffers are: weights as bf16 bits (and low halves) or fp32, moments as fp32, bf16 bits or codes with scales.
public final class AdamWReference {
    private static final float[] SIGNED = DynamicMap.signed();
    private static final float[] UNSIGNED = DynamicMap.unsigned();

    public final AdamW.Weights weights;
    public final AdamW.Moments moments;
    /// bf16 bits, or fp32 bits
    public final int[] w;
    public final short[] low;
    /// fp32 bits, bf16 bits or codes
    public final int[] m;
    public final int[] v;
    public final float[] mScale;
    public final float[] vScale;

    public AdamWReference(AdamW.Weights weights, AdamW.Moments moments, float[] masters) {
        this.weights = weights;
        this.moments = moments;
        int n = masters.length;
        w = new int[n];
        low = new short[n];
        m = new int[n];
        v = new int[n];
        mScale = new float[(n + 255) / 256];
        vScale = new float[(n + 255) / 256];
        for (int i = 0; i < n; i++) {
            setWeight(i, masters[i], 0, true);
        }
    }

    /// The weight as the arithmetic sees it: the master where there is one.
    float weight(int i) {
        return switch (weights) {
            case FP32 -> Float.intBitsToFloat(w[i]);
            case SPLIT -> Bf16.join((short) w[i], low[i]);
            case STOCHASTIC, NONE -> Bf16.toFloat((short) w[i]);
        };
    }

    private void setWeight(int i, float x, int random16, boolean toNearest) {
        switch (weights) {
            case FP32 -> w[i] = Float.floatToRawIntBits(x);
            case SPLIT -> {
                int split = Bf16.split(x);
                w[i] = split >>> 16;
                low[i] = (short) split;
            }
            case NONE -> w[i] = Bf16.round(x) & 0xffff;
            case STOCHASTIC -> w[i] = (toNearest ? Bf16.round(x) : Bf16.roundStochastic(x, random16)) & 0xffff;
        }
    }

    float first(int i) {
        return switch (moments) {
            case FP32 -> Float.intBitsToFloat(m[i]);
            case BF16 -> Bf16.toFloat((short) m[i]);
            case BLOCK8 -> SIGNED[m[i]] * mScale[i / 256];
        };
    }

    float second(int i) {
        return switch (moments) {
            case FP32 -> Float.intBitsToFloat(v[i]);
            case BF16 -> Bf16.toFloat((short) v[i]);
            case BLOCK8 -> UNSIGNED[v[i]] * vScale[i / 256];
        };
    }

    public void update(float[] gradients, float factor, AdamW.Step step, long start, long decayed, int buffer) {
        int n = w.length;
        float[] newM = new float[n];
        float[] newV = new float[n];
        float oneMinusBeta1 = (float) (1 - step.beta1());
        float oneMinusBeta2 = (float) (1 - step.beta2());
        for (int i = 0; i < n; i++) {
            float decay = start + i < decayed ? -step.decay() : 0;
            float g = gradients[i] * factor;
            float p = weight(i);
            p = Math.fma(decay, p, p);
            newM[i] = Math.fma((float) step.beta1(), first(i), oneMinusBeta1 * g);
            newV[i] = Math.fma((float) step.beta2(), second(i), oneMinusBeta2 * g * g);
            float denominator = (float) Math.sqrt(newV[i]) * step.inverseSqrtBias2() + (float) step.eps();
            p = p - step.stepSize() * newM[i] / denominator;
            setWeight(i, p, CounterRandom.bits16(step.seed(), step.step(), buffer, 1, start + i), false);
        }
        for (int block = 0; block < mScale.length; block++) {
            int from = block * 256;
            int to = Math.min(n, from + 256);
            store(newM, newV, from, to, step, start, buffer);
        }
    }

    private void store(float[] newM, float[] newV, int from, int to, AdamW.Step step, long start, int buffer) {
        float mMax = 0;
        float vMax = 0;
        for (int i = from; i < to; i++) {
            mMax = Math.max(mMax, Math.abs(newM[i]));
            vMax = Math.max(vMax, newV[i]);
        }
        float mInverse = mMax > 0 ? 1 / mMax : 0;
        float vInverse = vMax > 0 ? 1 / vMax : 0;
        mScale[from / 256] = mMax;
        vScale[from / 256] = vMax;
        for (int i = from; i < to; i++) {
            int random = CounterRandom.bits16(step.seed(), step.step(), buffer, 0, start + i);
            switch (moments) {
                case FP32 -> {
                    m[i] = Float.floatToRawIntBits(newM[i]);
                    v[i] = Float.floatToRawIntBits(newV[i]);
                }
                case BF16 -> {
                    m[i] = Bf16.round(newM[i]) & 0xffff;
                    v[i] = Bf16.roundStochastic(newV[i], random) & 0xffff;
                }
                case BLOCK8 -> {
                    m[i] = encodeM(newM[i] * mInverse);
                    v[i] = encodeV(newV[i] * vInverse, random);
                }
            }
        }
    }

    /// x in [-1, 1] to the nearest code of the signed map.
    static int encodeM(float x) {
        float a = Math.abs(x);
        int number = interval(a, 1);
        number -= a < between(number) ? 1 : 0;
        number = a >= between(128) ? 128 : number;
        return x < 0 ? 127 - Math.min(number, 127) : 127 + number;
    }

    /// x in [0, 1] to one of its two neighbours of the unsigned map.
    static int encodeV(float x, int random16) {
        int number = interval(x, 2);
        number -= x < UNSIGNED[number] ? 1 : 0;
        float low = UNSIGNED[number];
        float high = number < 255 ? UNSIGNED[number + 1] : 2;
        float u = (random16 + 0.5f) * (1 / 65536f);
        number += x - low > u * (high - low) ? 1 : 0;
        return Math.max(number, x > 0 ? 1 : 0);
    }

    private static float between(int number) {
        return 0.5f * (SIGNED[127 + number - 1] + SIGNED[127 + number]);
    }

    private static int interval(float x, int n) {
        double[] scale = {1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1};
        float sum = 0;
        for (int decade = 0; decade < 7; decade++) {
            float share = Math.fma(x, (float) (scale[decade] / 0.9), (float) (-1 / 9.0));
            sum = Math.fma(Math.clamp(share, 0f, 1f), n << decade, sum);
        }
        return (int) Math.floor(sum) + 1;
    }

    @Override
    public String toString() {
        return weights + " " + moments + " " + Arrays.hashCode(w);
    }
}
