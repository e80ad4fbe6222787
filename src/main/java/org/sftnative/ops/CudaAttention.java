package org.sftnative.ops;

import static org.sftnative.tensor.Aten.of;
import static org.sftnative.tensor.Aten.tensor;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.Ops.AttentionState;
import org.sftnative.ops.Ops.Documents;
import org.sftnative.ops.Ops.Heads;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;

/// Attention on CUDA, by shape. Documents of equal length, at least 512 tokens: cuDNN's dense kernel over strided views
/// (1.4 to 1.9 times as fast as flash at 2,048 and 4,096 tokens on an H100, its plan cached by shape).
/// Others: flash over cu_seqlens. Both know grouped kv heads; nothing is padded.
final class CudaAttention {
    private static final int DENSE_FROM = 512;
    private static final String FLASH = "aten::_flash_attention_forward";
    private static final String FLASH_BACKWARD = "aten::_flash_attention_backward";
    private static final String CUDNN = "aten::_scaled_dot_product_cudnn_attention";
    private static final String CUDNN_BACKWARD = "aten::_scaled_dot_product_cudnn_attention_backward";

    // arguments that never change, made once
    private static final IValue NONE = Scopes.keep(Aten::none);
    private static final IValue TRUE = Scopes.keep(() -> of(true));
    private static final IValue FALSE = Scopes.keep(() -> of(false));
    private static final IValue ZERO = Scopes.keep(() -> of(0.0));
    private static final IValue UNDEFINED = Scopes.keep(() -> of(new Tensor())); // not None

    private CudaAttention() {}

    /// @param logSumExp fp32
    /// @param seed of dropout, which is not used
    /// @param offset likewise
    private record Flash(Tensor logSumExp, Tensor seed, Tensor offset) implements AttentionState {}

    private record Dense(Tensor logSumExp, Tensor seed, Tensor offset) implements AttentionState {}

    /// dq (T, H, D), dk and dv (T, K, D), contiguous.
    record Gradients(Tensor dq, Tensor dk, Tensor dv) {}

    static AttentionState forward(Tensor qkv, Heads h, Documents documents, Tensor out) {
        PointerScope outside = PointerScope.getInnerScope();
        try (PointerScope _ = new PointerScope()) {
            Tensor q = qkv.narrow(1, 0, h.query());
            Tensor k = qkv.narrow(1, h.query(), h.kv());
            Tensor v = qkv.narrow(1, h.query() + h.kv(), h.kv());
            if (documents.even() && documents.longest() >= DENSE_FROM) {
                Dense state = dense(q, k, v, documents, out);
                Scopes.handOn(outside, state.logSumExp, state.seed, state.offset);
                return state;
            }
            Flash state = flash(q, k, v, documents, out);
            Scopes.handOn(outside, state.logSumExp, state.seed, state.offset);
            return state;
        }
    }

    private static Dense dense(Tensor q, Tensor k, Tensor v, Documents documents, Tensor out) {
        IValueVector r = Aten.call(
                CUDNN,
                of(dense(q, documents)),
                of(dense(k, documents)),
                of(dense(v, documents)),
                NONE,
                TRUE,
                ZERO,
                TRUE,
                FALSE,
                NONE);
        dense(out, documents).copy_(tensor(r, 0));
        return new Dense(tensor(r, 1), tensor(r, 6), tensor(r, 7));
    }

    private static Flash flash(Tensor q, Tensor k, Tensor v, Documents documents, Tensor out) {
        IValue longest = of((long) documents.longest());
        IValue starts = of(documents.onDevice());
        IValueVector r = Aten.call(
                FLASH, of(q), of(k), of(v), starts, starts, longest, longest, ZERO, TRUE, FALSE, NONE, NONE, NONE, NONE,
                NONE);
        out.copy_(tensor(r, 0));
        return new Flash(tensor(r, 1), tensor(r, 2), tensor(r, 3));
    }

    static Gradients backward(Tensor dOut, Tensor qkv, Tensor out, AttentionState state, Heads h, Documents documents) {
        Tensor q = qkv.narrow(1, 0, h.query());
        Tensor k = qkv.narrow(1, h.query(), h.kv());
        Tensor v = qkv.narrow(1, h.query() + h.kv(), h.kv());
        IValue longest = of((long) documents.longest());
        if (state instanceof Dense(Tensor logSumExp, Tensor seed, Tensor offset)) {
            IValueVector g = Aten.call(
                    CUDNN_BACKWARD,
                    of(dense(dOut, documents)),
                    of(dense(q, documents)),
                    of(dense(k, documents)),
                    of(dense(v, documents)),
                    of(dense(out, documents)),
                    of(logSumExp),
                    of(seed),
                    of(offset),
                    UNDEFINED,
                    UNDEFINED,
                    UNDEFINED,
                    longest,
                    longest,
                    ZERO,
                    TRUE,
                    NONE);
            return new Gradients(packed(tensor(g, 0)), packed(tensor(g, 1)), packed(tensor(g, 2)));
        }
        Flash flash = (Flash) state;
        IValue starts = of(documents.onDevice());
        IValueVector g = Aten.call(
                FLASH_BACKWARD,
                of(dOut),
                of(q),
                of(k),
                of(v),
                of(out),
                of(flash.logSumExp),
                starts,
                starts,
                longest,
                longest,
                ZERO,
                TRUE,
                of(flash.seed),
                of(flash.offset),
                NONE,
                NONE,
                NONE);
        return new Gradients(tensor(g, 0), tensor(g, 1), tensor(g, 2));
    }

    /// (T, heads, D) -> (documents, heads, n, D), a view.
    private static Tensor dense(Tensor x, Documents documents) {
        long n = documents.longest();
        return x.unflatten(0, documents.count(), n).transpose(1, 2);
    }

    /// (documents, heads, n, D) -> (T, heads, D): a view where the memory is in token order, else a copy.
    private static Tensor packed(Tensor x) {
        return x.transpose(1, 2).flatten(0, 1).contiguous();
    }
}
