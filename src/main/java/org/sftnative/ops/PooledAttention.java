package org.sftnative.ops;

import static org.sftnative.tensor.Aten.none;
import static org.sftnative.tensor.Aten.of;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Attention of one new token of each of several texts over keys and values that lie in one pool, read where they
/// lie, and the writing of them. No gradients.
///
/// T tokens, B texts, N tokens of the pool, H query heads, K kv heads, D head size.
public final class PooledAttention {
    /// Where one text's tokens lie.
    ///
    /// @param start first token in the pool
    /// @param length tokens that it may have
    public record Range(int start, int length) {}

    /// How ranges are laid out in a pool (N * 2 K, D).
    ///
    /// For libtorch's kernels a range is (2 K, length, D): a head's keys are neighbours, which on a CPU is twice as
    /// fast as (length, 2 K, D) (16 texts of 140 tokens, one layer: 360 us against 990). Flash attention on a card
    /// wants one distance between heads in all texts: there a range is (length, 2 K, D).
    ///
    /// @param query H
    /// @param kv K
    /// @param size D
    /// @param flash whether flash attention reads it
    public record Layout(int query, int kv, int size, boolean flash) {
        /// The rows of the pool that a token of a text has: 2 K of them, or, with flash, one of 2 K * D elements.
        void rows(Range range, int position, int[] to, int at) {
            if (flash) {
                to[at] = range.start + position;
                return;
            }
            for (int head = 0; head < 2 * kv; head++) {
                to[at + head] = range.start * 2 * kv + head * range.length + position;
            }
        }

        int rowsPerToken() {
            return flash ? 1 : 2 * kv;
        }
    }

    /// Neighbours in the pool with ranges of one length: one call for all of them.
    ///
    /// @param first index of the first text
    /// @param longest tokens of the longest
    /// @param mask (texts, 1, 1, longest): 0 where there is a token, else -inf; absent if all are as long
    private record Run(int first, int texts, Range range, int longest, Optional<Tensor> mask) {}

    private final Layout layout;
    private final int[] lengths;
    private final Tensor places; // rows of the pool that the pass writes
    private final List<Run> runs = new ArrayList<>();
    private Tensor queries; // (B + 1) int32: 0 to B
    private Tensor keys; // (B + 1) int32: where each text starts; the last is not read
    private Tensor used; // (B) int32

    /// For one pass, in whose scope it is made: the texts are the same in every layer.
    ///
    /// @param ranges (T) of each token that is written
    /// @param positions (T) of each in its text
    /// @param goingOn how many of these, the last ones, are the new token of a text that goes on; by their ranges
    /// @param type of keys and values
    public PooledAttention(
            Layout layout, List<Range> ranges, int[] positions, int goingOn, ScalarType type, Device device) {
        this.layout = layout;
        int each = layout.rowsPerToken();
        int[] rows = new int[positions.length * each];
        for (int t = 0; t < positions.length; t++) {
            layout.rows(ranges.get(t), positions[t], rows, t * each);
        }
        places = Tensors.ofInts(rows, device);
        List<Range> texts = ranges.subList(ranges.size() - goingOn, ranges.size());
        lengths = Arrays.stream(positions, positions.length - goingOn, positions.length)
                .map(p -> p + 1)
                .toArray();
        if (layout.flash && goingOn > 0) {
            int[] starts = texts.stream().mapToInt(Range::start).toArray();
            int[] count = new int[goingOn + 1];
            Arrays.setAll(count, i -> i);
            queries = Tensors.ofInts(count, device).to(ScalarType.Int);
            keys = Tensors.ofInts(Arrays.copyOf(starts, goingOn + 1), device).to(ScalarType.Int);
            used = Tensors.ofInts(lengths, device).to(ScalarType.Int);
        } else {
            for (int first = 0; first < goingOn; ) {
                int next = first + 1;
                while (next < goingOn && follows(texts.get(next - 1), texts.get(next))) {
                    next++;
                }
                runs.add(run(first, next, texts.get(first), type, device));
                first = next;
            }
        }
    }

    private static boolean follows(Range before, Range range) {
        return range.length == before.length && range.start == before.start + before.length;
    }

    private Run run(int first, int next, Range range, ScalarType type, Device device) {
        int texts = next - first;
        int longest = Arrays.stream(lengths, first, next).max().orElseThrow();
        if (Arrays.stream(lengths, first, next).allMatch(n -> n == longest)) {
            return new Run(first, texts, range, longest, Optional.empty());
        }
        float[] gone = new float[texts * longest];
        for (int i = 0; i < gone.length; i++) {
            gone[i] = i % longest < lengths[first + i / longest] ? 0 : Float.NEGATIVE_INFINITY;
        }
        Tensor mask = Tensors.ofFloats(gone, device, texts, 1, 1, longest).to(type);
        return new Run(first, texts, range, longest, Optional.of(mask));
    }

    /// Writes the pass's keys and values of one layer.
    ///
    /// @param kv (T, 2 K, D): keys, then values
    /// @param pool (N * 2 K, D)
    public void write(Tensor kv, Tensor pool) {
        Scopes.run(() -> {
            long width = layout.flash ? 2L * layout.kv * layout.size : layout.size;
            pool.view(-1, width).index_copy_(0, places, kv.reshape(-1, width).to(pool.scalar_type()));
        });
    }

    /// Attention of the texts that go on, in one layer; their new tokens are written before.
    ///
    /// @param q (B, H, D), rotated
    /// @param pool (N * 2 K, D)
    /// @param out (B, H, D), written
    public void attend(Tensor q, Tensor pool, Tensor out) {
        if (layout.flash) {
            Scopes.run(() -> out.copy_(flash(q, pool.view(-1, 2L * layout.kv, layout.size))));
        } else {
            runs.forEach(run -> Scopes.run(() -> attend(run, q, pool, out)));
        }
    }

    /// All texts in one kernel: `seqused_k` says how much of each is there, so that ranges need not touch.
    private Tensor flash(Tensor q, Tensor pool) {
        return Aten.tensor(
                Aten.call(
                        "aten::_flash_attention_forward",
                        of(q),
                        of(pool.narrow(1, 0, layout.kv)),
                        of(pool.narrow(1, layout.kv, layout.kv)),
                        of(queries),
                        of(keys),
                        of(1L),
                        of((long) Arrays.stream(lengths).max().orElseThrow()),
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
    private void attend(Run run, Tensor q, Tensor pool, Tensor out) {
        long[] grouped = {run.texts, layout.kv, layout.query / layout.kv, layout.size};
        long rows = 2L * layout.kv * run.range.length; // of one text
        Tensor kv = pool.narrow(0, 2L * layout.kv * run.range.start, rows * run.texts)
                .view(run.texts, 2L * layout.kv, run.range.length, layout.size)
                .narrow(2, 0, run.longest); // (texts, 2 K, longest, D)
        Tensor mixed = torch.scaled_dot_product_attention(
                q.narrow(0, run.first, run.texts).view(grouped).to(pool.scalar_type()),
                kv.narrow(1, 0, layout.kv),
                kv.narrow(1, layout.kv, layout.kv),
                run.mask.map(TensorOptional::new).orElseGet(TensorOptional::new),
                0.0,
                false,
                new DoubleOptional(),
                false);
        out.narrow(0, run.first, run.texts).view(grouped).copy_(mixed);
    }
}
