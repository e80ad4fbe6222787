package org.sftnative.ops;

import org.bytedeco.pytorch.Tensor;

/// The mathematics of a model and its optimizer that is not a matrix product, each forward with its backward, written
/// into buffers of the caller. `AtenOps` runs on any device.
///
/// T tokens, C hidden size, H query heads, K kv heads, D head size, F ffn size, V vocabulary. Activations are fp32 or
/// bf16; sums, norms, angles and losses are fp32.
public interface Ops {
    /// Root-mean-square norm: y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps). Source: arXiv 1910.07467, eq. 4.
    ///
    /// @param x (T, C)
    /// @param weight (C)
    /// @param y (T, C), written
    /// @param rstd (T, 1) fp32, written
    void rmsNorm(Tensor x, Tensor weight, double eps, Tensor y, Tensor rstd);

    /// The same of a sum that is kept: residual = x + delta, y = norm(residual).
    ///
    /// @param residual (T, C), written; may be x
    void addRmsNorm(Tensor x, Tensor delta, Tensor weight, double eps, Tensor residual, Tensor y, Tensor rstd);

    /// y = x * rstd * w again, from a kept rstd.
    void rmsNormAgain(Tensor x, Tensor weight, Tensor rstd, Tensor y);

    /// Gradient of a norm, added to what flows past it.
    ///
    /// @param dy (T, C)
    /// @param x (T, C), the norm's input
    /// @param dx (T, C): the gradient of x from elsewhere; the norm's is added
    /// @param dWeight (C): added to
    void rmsNormBackward(Tensor dy, Tensor x, Tensor weight, Tensor rstd, Tensor dx, Tensor dWeight);

    /// Rotates heads in place (arXiv 2104.09864, half-split layout).
    ///
    /// @param heads (T, n, D)
    /// @param cos (T, 1, D) of the positions
    /// @param sin (T, 1, D)
    /// @param inverse the rotation back: the gradient's
    void rope(Tensor heads, Tensor cos, Tensor sin, boolean inverse);

    /// Causal attention within each document.
    ///
    /// @param qkv (T, H + 2 K, D), rotated
    /// @param documents where they begin
    /// @param out (T, H, D), written
    /// @return what the backward pass needs besides qkv and out; the caller's scope owns it
    AttentionState attention(Tensor qkv, Heads heads, Documents documents, Tensor out);

    /// Gradient of attention.
    ///
    /// @param dOut (T, H, D)
    /// @param dQkv (T, H + 2 K, D), written
    void attentionBackward(
            Tensor dOut, Tensor qkv, Tensor out, AttentionState state, Heads heads, Documents documents, Tensor dQkv);

    /// act = silu(gate) * up.
    ///
    /// @param gateUp (T, 2 F): gate, then up
    /// @param act (T, F), written
    void swiglu(Tensor gateUp, Tensor act);

    /// Gradient of swiglu, over its input; act is written again.
    ///
    /// @param dAct (T, F)
    /// @param gateUp (T, 2 F): overwritten with its gradient
    /// @param act (T, F), written
    void swigluBackward(Tensor dAct, Tensor gateUp, Tensor act);

    /// Cross-entropy of rows and its gradient, in place.
    ///
    /// @param logits (n, V): overwritten with (softmax - onehot) * scale
    /// @param targets (n) int64
    /// @return the summed loss: a scalar, fp32
    Tensor crossEntropy(Tensor logits, Tensor targets, double scale);

    /// Adds rows to the embedding's gradient.
    ///
    /// @param dx (T, C)
    /// @param ids (T) int64
    /// @param dWeight (V, C): added to
    void embeddingBackward(Tensor dx, Tensor ids, Tensor dWeight);

    /// One AdamW update in place.
    ///
    /// @param weights (n) fp32
    /// @param gradients (n) fp32, already clipped
    /// @param m (n) fp32, first moment
    /// @param v (n) fp32, second moment
    void adamw(Tensor weights, Tensor gradients, Tensor m, Tensor v, AdamWUpdate update);

    /// The 2-norm of a flat buffer: a scalar, fp64, on the device, exact to 1e-6.
    Tensor norm(Tensor flat);

    /// The shape of attention.
    ///
    /// @param query H
    /// @param kv K, a divisor of H
    /// @param size D
    record Heads(int query, int kv, int size) {
        /// H + 2 K.
        public int all() {
            return query + 2 * kv;
        }
    }

    /// Where documents begin.
    ///
    /// @param cuSeqlens (documents + 1) first position of each, then T; on the host
    record Documents(int[] cuSeqlens) {
        public int count() {
            return cuSeqlens.length - 1;
        }

        public int start(int document) {
            return cuSeqlens[document];
        }

        public int length(int document) {
            return cuSeqlens[document + 1] - cuSeqlens[document];
        }
    }

    /// What attention keeps for its backward pass.
    interface AttentionState {}
}
