package org.sftnative.ops;

import static org.sftnative.tensor.Aten.of;
import static org.sftnative.tensor.Aten.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.ops.Ops.AttentionState;
import org.sftnative.ops.Ops.Documents;
import org.sftnative.ops.Ops.Heads;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Attention on CUDA, by shape. Documents of equal length, at least 512 tokens: cuDNN's dense kernel over strided views
/// (1.4 to 1.9 times as fast as flash at 2,048 and 4,096 tokens on an H100, its plan cached by shape). A long document
/// among others: the same kernel over the document alone, see [#parts]. Others: flash over cu_seqlens. Both know
/// grouped
/// kv heads; nothing is copied to be padded.
final class CudaAttention {
    private static final int DENSE_FROM = 512;
    private static final int ALONE_FROM = 1024;
    private static final long ALONE_WORK = 2 * 132 * 128; // heads x rows: two blocks of 128 for each multiprocessor
    private static final int SLOT = 128;
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

    private record Mixed(List<Part> parts, List<AttentionState> states) implements AttentionState {}

    /// Documents that are computed together.
    ///
    /// @param documents from 0 on
    /// @param start the first row of q, k and v that is read
    /// @param rows how many are: to the end of the documents; of one alone, to the next multiple of 128
    private record Part(Documents documents, int start, int rows, boolean alone) {
        Tensor of(Tensor x) {
            return x.narrow(0, start, rows);
        }

        int used() {
            return documents.cuSeqlens()[documents.count()];
        }
    }

    static AttentionState forward(Tensor qkv, Heads h, Documents documents, Tensor out) {
        PointerScope outside = PointerScope.getInnerScope();
        try (PointerScope _ = new PointerScope()) {
            if (documents.even() && documents.longest() >= DENSE_FROM) {
                return kept(outside, dense(qkv, h, documents, out));
            }
            List<Part> parts = parts(h, documents);
            if (parts.isEmpty()) {
                return kept(outside, flash(qkv, h, documents, out));
            }
            List<AttentionState> states = new ArrayList<>();
            for (Part part : parts) {
                Tensor rows = part.of(qkv);
                if (part.alone) {
                    // what follows the document is read as well, and its result dropped: a causal mask hides it from
                    // the document
                    Tensor slot = Tensors.empty(qkv.scalar_type(), qkv.device(), part.rows, h.query(), h.size());
                    Documents whole = new Documents(new int[] {0, part.rows}, part.documents.onDevice());
                    states.add(kept(outside, dense(rows, h, whole, slot)));
                    out.narrow(0, part.start, part.used()).copy_(slot.narrow(0, 0, part.used()));
                } else {
                    Scopes.handOn(outside, part.documents.onDevice());
                    states.add(kept(outside, flash(rows, h, part.documents, part.of(out))));
                }
            }
            return new Mixed(parts, states);
        }
    }

    /// A batch in parts, if a document is long enough to have the dense kernel to itself: it fills the card alone. Its
    /// rows are rounded up to 128, so that the kernel has few plans to make. Empty: none is.
    private static List<Part> parts(Heads h, Documents documents) {
        List<Part> parts = new ArrayList<>();
        int tokens = documents.cuSeqlens()[documents.count()];
        int from = 0; // first document that is in no part yet
        for (int d = 0; d < documents.count(); d++) {
            int rows = Math.ceilDiv(documents.length(d), SLOT) * SLOT;
            boolean alone = documents.length(d) >= ALONE_FROM
                    && (long) h.query() * rows >= ALONE_WORK
                    && documents.start(d) + rows <= tokens;
            if (alone) {
                together(documents, from, d, parts);
                int[] cu = {0, documents.length(d)};
                parts.add(new Part(new Documents(cu, documents.onDevice()), documents.start(d), rows, true));
                from = d + 1;
            }
        }
        if (from > 0) {
            together(documents, from, documents.count(), parts);
        }
        return parts;
    }

    private static void together(Documents documents, int from, int to, List<Part> parts) {
        if (from < to) {
            int start = documents.start(from);
            int[] cu = Arrays.copyOfRange(documents.cuSeqlens(), from, to + 1);
            Arrays.setAll(cu, i -> cu[i] - start);
            Tensor onDevice = documents.onDevice().narrow(0, from, cu.length).sub(new Scalar((long) start));
            parts.add(new Part(new Documents(cu, onDevice), start, cu[cu.length - 1], false));
        }
    }

    private static AttentionState kept(PointerScope outside, AttentionState state) {
        switch (state) {
            case Dense d -> Scopes.handOn(outside, d.logSumExp, d.seed, d.offset);
            case Flash f -> Scopes.handOn(outside, f.logSumExp, f.seed, f.offset);
            default -> throw new IllegalStateException();
        }
        return state;
    }

    private static Tensor query(Tensor qkv, Heads h) {
        return qkv.narrow(1, 0, h.query());
    }

    private static Tensor key(Tensor qkv, Heads h) {
        return qkv.narrow(1, h.query(), h.kv());
    }

    private static Tensor value(Tensor qkv, Heads h) {
        return qkv.narrow(1, h.query() + h.kv(), h.kv());
    }

    private static Dense dense(Tensor qkv, Heads h, Documents documents, Tensor out) {
        IValueVector r = Aten.call(
                CUDNN,
                of(dense(query(qkv, h), documents)),
                of(dense(key(qkv, h), documents)),
                of(dense(value(qkv, h), documents)),
                NONE,
                TRUE,
                ZERO,
                TRUE,
                FALSE,
                NONE);
        dense(out, documents).copy_(tensor(r, 0));
        return new Dense(tensor(r, 1), tensor(r, 6), tensor(r, 7));
    }

    private static Flash flash(Tensor qkv, Heads h, Documents documents, Tensor out) {
        IValue longest = of((long) documents.longest());
        IValue starts = of(documents.onDevice());
        IValueVector r = Aten.call(
                FLASH,
                of(query(qkv, h)),
                of(key(qkv, h)),
                of(value(qkv, h)),
                starts,
                starts,
                longest,
                longest,
                ZERO,
                TRUE,
                FALSE,
                NONE,
                NONE,
                NONE,
                NONE,
                NONE);
        out.copy_(tensor(r, 0));
        return new Flash(tensor(r, 1), tensor(r, 2), tensor(r, 3));
    }

    static Gradients backward(Tensor dOut, Tensor qkv, Tensor out, AttentionState state, Heads h, Documents documents) {
        if (!(state instanceof Mixed(List<Part> parts, List<AttentionState> states))) {
            return whole(dOut, qkv, out, state, h, documents);
        }
        long tokens = qkv.size(0);
        Tensor dq = Tensors.empty(qkv.scalar_type(), qkv.device(), tokens, h.query(), h.size());
        Tensor dk = Tensors.empty(qkv.scalar_type(), qkv.device(), tokens, h.kv(), h.size());
        Tensor dv = Tensors.empty(qkv.scalar_type(), qkv.device(), tokens, h.kv(), h.size());
        for (int i = 0; i < parts.size(); i++) {
            Part part = parts.get(i);
            AttentionState of = states.get(i);
            Scopes.run(() -> {
                Tensor d = part.of(dOut);
                Documents read = part.documents;
                if (part.alone) {
                    // rows after the document have no gradient, so that nothing comes from them
                    d = torch.zeros_like(d);
                    d.narrow(0, 0, part.used()).copy_(dOut.narrow(0, part.start, part.used()));
                    read = new Documents(new int[] {0, part.rows}, part.documents.onDevice());
                }
                Gradients g = whole(d, part.of(qkv), part.of(out), of, h, read);
                dq.narrow(0, part.start, part.used()).copy_(g.dq.narrow(0, 0, part.used()));
                dk.narrow(0, part.start, part.used()).copy_(g.dk.narrow(0, 0, part.used()));
                dv.narrow(0, part.start, part.used()).copy_(g.dv.narrow(0, 0, part.used()));
            });
        }
        return new Gradients(dq, dk, dv);
    }

    private static Gradients whole(
            Tensor dOut, Tensor qkv, Tensor out, AttentionState state, Heads h, Documents documents) {
        Tensor q = query(qkv, h);
        Tensor k = key(qkv, h);
        Tensor v = value(qkv, h);
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
