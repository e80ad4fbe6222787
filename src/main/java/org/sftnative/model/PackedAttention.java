package org.sftnative.model;

import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.tensor.Scopes;

/// Attention inside each document of a packed batch, never across.
///
/// @param cuSeqlens first position of each document, then T
record PackedAttention(int[] cuSeqlens) implements Attention {
    @Override
    public Tensor attend(int layer, Tensor q, Tensor k, Tensor v) {
        Tensor[] out = new Tensor[cuSeqlens.length - 1];
        for (int d = 0; d < out.length; d++) {
            int start = cuSeqlens[d];
            int length = cuSeqlens[d + 1] - start;
            out[d] = Scopes.yield(
                    () -> causal(q.narrow(0, start, length), k.narrow(0, start, length), v.narrow(0, start, length)));
        }
        return out.length == 1 ? out[0] : torch.cat(new TensorVector(out), 0);
    }

    /// One document: q (n, H, D), k and v (n, K, D) -> (n, H, D).
    private static Tensor causal(Tensor q, Tensor k, Tensor v) {
        return sdpa(q, k, v, true);
    }

    /// Scaled dot-product attention of heads-last tensors, with K a divisor of H.
    ///
    /// @param causal position i of q sees 0 to i of k; else all
    static Tensor sdpa(Tensor q, Tensor k, Tensor v, boolean causal) {
        boolean grouped = k.size(1) != q.size(1);
        return torch.scaled_dot_product_attention(
                        heads(q), heads(k), heads(v), new TensorOptional(), 0.0, causal, new DoubleOptional(), grouped)
                .squeeze(0)
                .transpose(0, 1);
    }

    /// (n, heads, D) -> (1, heads, n, D).
    private static Tensor heads(Tensor x) {
        return x.transpose(0, 1).unsqueeze(0);
    }
}
