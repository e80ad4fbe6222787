package org.sftnative.model;

import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.PooledAttention;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Keys and values of many texts while they are generated, in one buffer allocated once: (layers, tokens * 2 K, D).
/// A text has a range of neighbouring tokens from beginning to end, so that nothing of it is ever copied. Used by one
/// thread. How a range is laid out is the attention's business: see [PooledAttention].
public final class KvPool implements AutoCloseable {
    /// Where one text's tokens lie.
    ///
    /// @param start first token in the pool
    /// @param length tokens that it may have
    public record Range(int start, int length) {}

    private final int tokens;
    private final Tensor buffer;
    private final PooledAttention.Layout layout;
    private final TreeMap<Integer, Integer> free = new TreeMap<>(); // start -> length; never two that touch

    /// @param tokens of all texts together
    public KvPool(LlamaConfig config, Dtype dtype, Device device, int tokens) {
        this.tokens = tokens;
        boolean flash = Devices.isCuda(device) && dtype != Dtype.F32;
        layout = new PooledAttention.Layout(config.nHead(), config.nKvHead(), config.headDim(), flash);
        // zeros: a text's neighbours in a call may be longer, and 0 times what was there must be 0
        buffer = Scopes.keep(() -> Tensors.zeros(
                dtype.scalarType(), device, config.nLayer(), 2L * config.nKvHead() * tokens, config.headDim()));
        free.put(0, tokens);
    }

    /// Bytes that one token takes, in all layers.
    public static long bytesPerToken(LlamaConfig config, Dtype dtype) {
        return 2L * config.nLayer() * config.kvSize() * dtype.bytes();
    }

    /// Tokens that it was made for.
    public int tokens() {
        return tokens;
    }

    /// Tokens that no text has reserved; not all of them need be neighbours.
    public int freeTokens() {
        return free.values().stream().mapToInt(Integer::intValue).sum();
    }

    /// A range for a text, the first that is large enough; empty if there is none now.
    public Optional<Range> reserve(int length) {
        for (Map.Entry<Integer, Integer> hole : free.entrySet()) {
            if (hole.getValue() >= length) {
                int start = hole.getKey();
                int rest = hole.getValue() - length;
                free.remove(start);
                if (rest > 0) {
                    free.put(start + length, rest);
                }
                return Optional.of(new Range(start, length));
            }
        }
        return Optional.empty();
    }

    /// Gives a range back.
    public void release(Range range) {
        int start = range.start();
        int length = range.length();
        Map.Entry<Integer, Integer> before = free.lowerEntry(start);
        if (before != null && before.getKey() + before.getValue() == start) {
            start = before.getKey();
            length += before.getValue();
        }
        Integer after = free.remove(range.start() + range.length());
        free.put(start, length + (after == null ? 0 : after));
    }

    PooledAttention.Layout layout() {
        return layout;
    }

    /// Keys and values of a layer: (tokens * 2 K, D), a view.
    Tensor layer(int layer) {
        return buffer.select(0, layer);
    }

    @Override
    public void close() {
        Scopes.free(buffer);
    }
}
