package org.sftnative.ops;

import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Copies;

/// The mathematics of a model and its optimizer, each forward with its backward, written into buffers of the caller.
/// `AtenOps` runs on any device.
///
/// T tokens, C hidden size, H query heads, K kv heads, D head size, F ffn size, V vocabulary. Activations are fp32 or
/// bf16; sums, norms, angles and losses are fp32.
public interface Ops {
    /// A matrix product, c = scale op(a) @ op(b), or added to c. Sums are fp32 whatever the factors are; c is of their
    /// type or fp32. Rows of each may lie apart, elements of a row side by side.
    ///
    /// @param add whether c keeps what it has
    void matmul(Form form, double scale, Tensor a, Tensor b, Tensor c, boolean add);

    /// The same with a scale of 1.
    default void matmul(Form form, Tensor a, Tensor b, Tensor c, boolean add) {
        matmul(form, 1.0, a, b, c, add);
    }

    /// Copies between the device and the host beside these operations.
    default Copies copies(Device device) {
        return Copies.of(device);
    }

    /// Which factor is transposed, in BLAS's letters; c is (m, n).
    enum Form {
        /// a (m, k), b (k, n): dx = dy @ W.
        NN,
        /// a (m, k), b (n, k): y = x @ W^T.
        NT,
        /// a (k, m), b (k, n): dW = dy^T @ x.
        TN
    }

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

    /// Rotates the q and k heads in place (arXiv 2104.09864, half-split layout), after adding a bias to all heads.
    ///
    /// @param qkv (T, H + 2 K, D)
    /// @param bias ((H + 2 K) * D), or absent
    void rope(Tensor qkv, Optional<Tensor> bias, Angles angles, Heads heads);

    /// Causal attention within each document.
    ///
    /// @param qkv (T, H + 2 K, D), rotated
    /// @param out (T, H, D), written
    /// @return what the backward pass needs besides qkv and out; the caller's scope owns it
    AttentionState attention(Tensor qkv, Heads heads, Documents documents, Tensor out);

    /// Gradient of attention and of the rotation before it.
    ///
    /// @param dOut (T, H, D)
    /// @param dQkv (T, H + 2 K, D), written: the gradient of what [#rope] was given
    void attentionBackward(
            Tensor dOut,
            Tensor qkv,
            Tensor out,
            AttentionState state,
            Angles angles,
            Heads heads,
            Documents documents,
            Tensor dQkv);

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
    /// @param targets (n) int64; on a card, rows of a negative one have loss and gradient 0
    /// @return the summed loss: a scalar, fp32
    Tensor crossEntropy(Tensor logits, Tensor targets, double scale);

    /// Rows of the embedding.
    ///
    /// @param ids (T)
    /// @param weight (V, C)
    /// @param x (T, C), written
    void embedding(Ids ids, Tensor weight, Tensor x);

    /// Adds rows to the embedding's gradient.
    ///
    /// @param dx (T, C)
    /// @param ids (T)
    /// @param dWeight (V, C): added to
    void embeddingBackward(Tensor dx, Ids ids, Tensor dWeight);

    /// The gradient of a bias: dBias += the sum of the rows of dy.
    ///
    /// @param dy (T, n)
    /// @param dBias (n)
    void biasBackward(Tensor dy, Tensor dBias);

    /// The norm of the gradient, and what clipping makes of it.
    ///
    /// @param gradients (n) flat; not changed
    /// @param maxNorm 0: no clipping
    /// @return (at least 3) fp32 on the device: the norm, exact to 1e-6; the factor
    ///     min(1, maxNorm / (norm + 1e-6)); 1 if the norm is finite, else 0
    Tensor clip(Tensor gradients, double maxNorm);

    /// One AdamW update in place, of gradients times the clip factor; changes nothing if the norm is not finite.
    ///
    /// @param weights (n) flat: fp32 or bf16, as the state says
    /// @param gradients (n) flat, fp32 or bf16; may be scaled in place
    /// @param clip what [#clip] gave
    void adamw(Tensor weights, Tensor gradients, AdamWState state, AdamWUpdate update, Tensor clip);

    /// The weights of a quantised matrix, rounded from fp32 to the type of the buffer.
    ///
    /// @param to (rows, columns), written; its rows may lie apart, elements of a row side by side
    default void dequantise(QuantisedMatrix weights, Tensor to) {
        Dequantisation.into(weights, to);
    }

    /// Rotation angles of T tokens.
    ///
    /// @param cos (T, D / 2) fp32
    /// @param sin (T, D / 2) fp32
    /// @param rows (T) int32: which row is each token's, 0 to T - 1
    record Angles(Tensor cos, Tensor sin, Tensor rows) {}

    /// Token ids of a batch, on both sides.
    ///
    /// @param device (T) int64
    /// @param host the same
    record Ids(Tensor device, int[] host) {}

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

    /// What records work where operations are queued for a card; absent where there is none.
    default Optional<Recorder> recorder() {
        return Optional.empty();
    }

    /// Records work: what it queues then runs again for the price of one call, on the same memory.
    interface Recorder extends AutoCloseable {
        /// Records what work queues, without running it. Work must not wait for the card, nor read
        /// memory of the host; what it allocates is its recording's again whenever that runs, and may
        /// be another recording's in between.
        ///
        /// @throws RuntimeException if it cannot be recorded; nothing was queued
        Recording recorded(Runnable work);

        @Override
        void close();
    }

    /// Work that was recorded.
    interface Recording extends AutoCloseable {
        /// Queues it.
        void replay();

        @Override
        void close();
    }

    /// Where documents begin.
    ///
    /// @param cuSeqlens (documents + 1) first position of each, then T; on the host
    /// @param onDevice the same, int32; there may be empty documents at the end
    /// @param longest tokens of the longest, or more
    record Documents(int[] cuSeqlens, Tensor onDevice, int longest) {
        /// @param onDevice the same as `cuSeqlens`
        public static Documents of(int[] cuSeqlens, Tensor onDevice) {
            int longest = 0;
            for (int d = 0; d + 1 < cuSeqlens.length; d++) {
                longest = Math.max(longest, cuSeqlens[d + 1] - cuSeqlens[d]);
            }
            return new Documents(cuSeqlens, onDevice, longest);
        }

        public int count() {
            return cuSeqlens.length - 1;
        }

        public int start(int document) {
            return cuSeqlens[document];
        }

        public int length(int document) {
            return cuSeqlens[document + 1] - cuSeqlens[document];
        }

        /// Whether all documents have the same length.
        public boolean even() {
            for (int d = 1; d < count(); d++) {
                if (length(d) != length(0)) {
                    return false;
                }
            }
            return true;
        }
    }

    /// What attention keeps for its backward pass.
    interface AttentionState {}
}
