package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Keys and values of one document while it is generated, in one buffer allocated once: (layers, 2, capacity, K, D).
public final class KvCache implements Attention, AutoCloseable {
    private final Tensor buffer;
    private final int capacity;
    private int length;

    /// @param capacity most tokens that the document will have
    public KvCache(Llama model, int capacity) {
        LlamaConfig c = model.config();
        this.capacity = capacity;
        this.buffer = Scopes.keep(() -> Tensors.empty(
                model.parameters().dtype().scalarType(),
                model.parameters().device(),
                c.nLayer(),
                2,
                capacity,
                c.nKvHead(),
                c.headDim()));
    }

    /// Tokens in the cache.
    public int length() {
        return length;
    }

    @Override
    public Tensor attend(int layer, Tensor q, Tensor k, Tensor v) {
        long n = q.size(0);
        if (length + n > capacity) {
            throw new IllegalArgumentException(
                    (length + n) + " tokens in a cache for " + capacity + ": the caller bounds the length");
        }
        Tensor keys = buffer.select(0, layer).select(0, 0);
        Tensor values = buffer.select(0, layer).select(0, 1);
        keys.narrow(0, length, n).copy_(k);
        values.narrow(0, length, n).copy_(v);
        if (length > 0 && n > 1) {
            throw new IllegalArgumentException("after the prompt, tokens come one at a time");
        }
        return PackedAttention.sdpa(
                q.to(keys.scalar_type()), keys.narrow(0, 0, length + n), values.narrow(0, 0, length + n), n > 1);
    }

    void advance(int n) {
        length += n;
    }

    @Override
    public void close() {
        Scopes.free(buffer);
    }
}
