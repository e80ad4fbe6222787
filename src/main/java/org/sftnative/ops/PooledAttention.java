package org.sftnative.ops;

import static org.sftnative.tensor.Aten.none;
import static org.sftnative.tensor.Aten.of;

import java.util.Arrays;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops.Heads;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Attention of one new token of each of several texts over keys and values that lie in one pool, read where they
/// lie. No gradients.
///
/// B texts, N tokens of the pool, H query heads, K kv heads, D head size.
public final class PooledAttention {
    private final int[] starts;
    private final int[] lengths;
    private final boolean flash;
    private Tensor queries; // (B + 1) int32: 0 to B
    private Tensor keys; // (B + 1) int32: where each text starts; the last is not read
    private Tensor used; // (B) int32

    /// For one pass: the texts are the same in every layer.
    ///
    /// @param starts first token of each text in the pool
    /// @param lengths tokens of each text, the new one included
    /// @param flash whether flash attention runs here: on a card, for bf16
    public PooledAttention(int[] starts, int[] lengths, boolean flash, Device device) {
        this.starts = starts;
        this.lengths = lengths;
        this.flash = flash;
        if (flash) {
            int[] rows = new int[starts.length + 1];
            Arrays.setAll(rows, i -> i);
            queries = Tensors.ofInts(rows, device).to(ScalarType.Int);
            keys = Tensors.ofInts(Arrays.copyOf(starts, starts.length + 1), device)
                    .to(ScalarType.Int);
            used = Tensors.ofInts(lengths, device).to(ScalarType.Int);
        }
    }

    /// One layer.
    ///
    /// @param q (B, H, D), rotated
    /// @param cache (N, 2 K, D): keys, then values
    /// @param out (B, H, D), written
    public void attend(Tensor q, Tensor cache, Heads heads, Tensor out) {
        if (flash) {
            Scopes.run(() -> out.copy_(flash(q, cache, heads)));
            return;
        }
        for (int i = 0; i < starts.length; i++) {
            int text = i;
            Scopes.run(() ->
                    one(q.select(0, text), cache.narrow(0, starts[text], lengths[text]), heads, out.select(0, text)));
        }
    }

    /// All texts in one kernel: `seqused_k` says how much of each is there, so that ranges need not touch.
    private Tensor flash(Tensor q, Tensor cache, Heads heads) {
        long longest = Arrays.stream(lengths).max().orElseThrow();
        return Aten.tensor(
                Aten.call(
                        "aten::_flash_attention_forward",
                        of(q),
                        of(cache.narrow(1, 0, heads.kv())),
                        of(cache.narrow(1, heads.kv(), heads.kv())),
                        of(queries),
                        of(keys),
                        of(1L),
                        of(longest),
                        of(0.0),
                        of(false),
                        of(false),
                        none(),
                        none(),
                        none(),
                        of(used),
                        none()),
                0);
    }

    /// Query heads that share a kv head are the rows of one small product: kv heads are not repeated.
    ///
    /// @param q (H, D)
    /// @param cache (n, 2 K, D)
    private static void one(Tensor q, Tensor cache, Heads heads, Tensor out) {
        long[] grouped = {1, heads.kv(), heads.query() / heads.kv(), heads.size()};
        Tensor kv = cache.transpose(0, 1).unsqueeze(0); // (1, 2 K, n, D)
        Tensor mixed = torch.scaled_dot_product_attention(
                q.view(grouped).to(cache.scalar_type()),
                kv.narrow(1, 0, heads.kv()),
                kv.narrow(1, heads.kv(), heads.kv()));
        out.view(grouped).copy_(mixed);
    }
}
