package org.sftnative.model;

import java.util.Arrays;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.tensor.Scopes;

/// Attention inside each document of a packed batch, never across.
///
/// @param cuSeqlens first position of each document, then T
record PackedAttention(int[] cuSeqlens) {
    /// Causal attention of one block: T tokens, H query heads, K kv heads, D head size.
    ///
    /// @param q (T, H, D), rotated
    /// @param k (T, K, D), rotated
    /// @param v (T, K, D)
    /// @return (T, H, D)
    Tensor attend(Tensor q, Tensor k, Tensor v) {
        int documents = cuSeqlens.length - 1;
        if (documents == 1) {
            return causal(q, k, v);
        }
        // split, not narrow: autograd gathers the parts of a split in one pass, of narrows in one pass each
        long[] lengths = new long[documents];
        Arrays.setAll(lengths, d -> cuSeqlens[d + 1] - cuSeqlens[d]);
        TensorVector queries = torch.split_with_sizes(q, lengths);
        TensorVector keys = torch.split_with_sizes(k, lengths);
        TensorVector values = torch.split_with_sizes(v, lengths);
        TensorVector out = new TensorVector();
        for (int d = 0; d < documents; d++) {
            int document = d;
            out.push_back(Scopes.yield(() -> causal(queries.get(document), keys.get(document), values.get(document))));
        }
        return torch.cat(out, 0);
    }

    /// One document: q (n, H, D), k and v (n, K, D), with K a divisor of H -> (n, H, D).
    private static Tensor causal(Tensor q, Tensor k, Tensor v) {
        boolean grouped = k.size(1) != q.size(1);
        return torch.scaled_dot_product_attention(
                        heads(q), heads(k), heads(v), new TensorOptional(), 0.0, true, new DoubleOptional(), grouped)
                .squeeze(0)
                .transpose(0, 1);
    }

    /// (n, heads, D) -> (1, heads, n, D).
    private static Tensor heads(Tensor x) {
        return x.transpose(0, 1).unsqueeze(0);
    }
}
