package org.sftnative.kernels;

/// Rotary position embedding in Hugging Face's half-split layout, in fp32 with one rounding. Source: arXiv 2104.09864.
public final class Rope {
    private static final int THREADS = 128;
    private final KernelFunction rope;
    private final KernelFunction ropeAny;

    Rope(KernelModule.Card card) {
        KernelModule module = KernelModule.load(card, "rope");
        rope = module.function("rope", 16);
        ropeAny = module.function("rope_any", 16);
    }

    /// Where angles come from.
    ///
    /// @param cos (maxPos, D / 2) fp32
    /// @param sin (maxPos, D / 2) fp32
    /// @param positions (T) int32, each below maxPos
    public record Angles(long cos, long sin, long positions) {}

    /// The heads of a token: H of q, then K of k, then K of v, each of D.
    public record Heads(int query, int kv, int size) {
        public Heads {
            Shape.require(size % 2 == 0, "head size " + size + " is odd");
        }

        int all() {
            return query + 2 * kv;
        }
    }

    /// Rotates the q and k heads in place.
    ///
    /// @param qkv (T, H + 2 K, D)
    /// @param bias (H + 2 K, D), added first to all heads and rounded, or 0: none
    public void forward(long qkv, long bias, Angles angles, Heads heads, int tokens, long stream) {
        inPlace(qkv, bias, angles, heads, tokens, 1, stream);
    }

    /// The inverse rotation in place: the gradient of [#forward]. The gradient of the bias is then [Columns#sum].
    public void backward(long dQkv, Angles angles, Heads heads, int tokens, long stream) {
        inPlace(dQkv, 0, angles, heads, tokens, -1, stream);
    }

    /// The same from attention's separate gradients into the fused one, at no cost beyond the rotation.
    ///
    /// @param dq (T, H, D), heads side by side
    /// @param dk (T, K, D)
    /// @param dv (T, K, D)
    /// @param dqStride elements from token to token of dq; dkvStride of dk and dv
    /// @param dQkv (T, H + 2 K, D), written
    public void backward(
            long dq,
            long dk,
            long dv,
            long dqStride,
            long dkvStride,
            long dQkv,
            Angles angles,
            Heads heads,
            int tokens,
            long stream) {
        launch(dq, dk, dv, dqStride, dkvStride, 0, dQkv, angles, heads, tokens, -1, true, stream);
    }

    private void inPlace(long qkv, long bias, Angles angles, Heads heads, int tokens, float sign, long stream) {
        long stride = (long) heads.all() * heads.size();
        long k = qkv + 2L * heads.query() * heads.size();
        long v = k + 2L * heads.kv() * heads.size();
        launch(qkv, k, v, stride, stride, bias, qkv, angles, heads, tokens, sign, bias != 0, stream);
    }

    private void launch(
            long q,
            long k,
            long v,
            long qStride,
            long kvStride,
            long bias,
            long out,
            Angles angles,
            Heads heads,
            int tokens,
            float sign,
            boolean values,
            long stream) {
        int half = heads.size() / 2;
        Shape.require(Shape.ceilDiv(half, Shape.GROUP) <= THREADS, "head size " + heads.size() + " is above 2048");
        boolean vectors = Shape.vectors(half, q | k | v | bias | out | angles.cos() | angles.sin())
                && Shape.vectors(qStride | kvStride, 0);
        (vectors ? rope : ropeAny)
                .begin()
                .arg(q)
                .arg(k)
                .arg(v)
                .arg(qStride)
                .arg(kvStride)
                .arg(kvStride)
                .arg(bias)
                .arg(out)
                .arg(angles.cos())
                .arg(angles.sin())
                .arg(angles.positions())
                .arg(heads.query())
                .arg(heads.kv())
                .arg(heads.size())
                .arg(sign)
                .arg(values)
                .launch(tokens, THREADS, stream);
    }
}
