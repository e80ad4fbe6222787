package org.sftnative.ops;

import static org.sftnative.tensor.Aten.none;
import static org.sftnative.tensor.Aten.of;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.ops.Ops.AttentionState;
import org.sftnative.ops.Ops.Documents;
import org.sftnative.ops.Ops.Heads;
import org.sftnative.tensor.Aten;
import org.sftnative.tensor.Scopes;

/// Attention on the CPU: libtorch's flash kernel, one document at a time, so that nothing is padded and nothing
/// crosses.
/// Kv heads are repeated for it, since the kernel wants as many as query heads; their gradients are summed.
final class DocumentAttention {
    private static final String FORWARD = "aten::_scaled_dot_product_flash_attention_for_cpu";
    private static final String BACKWARD = "aten::_scaled_dot_product_flash_attention_for_cpu_backward";

    private DocumentAttention() {}

    /// @param logSumExp of each document: (1, H, n)
    private record State(Tensor[] logSumExp) implements AttentionState {}

    static AttentionState forward(Tensor qkv, Heads h, Documents documents, Tensor out) {
        Tensor[] logSumExp = new Tensor[documents.count()];
        for (int d = 0; d < logSumExp.length; d++) {
            int start = documents.start(d);
            int n = documents.length(d);
            logSumExp[d] = Scopes.yield(() -> {
                Tensor rows = qkv.narrow(0, start, n);
                IValueVector result = Aten.call(
                        FORWARD,
                        of(query(rows, h)),
                        of(key(rows, h)),
                        of(value(rows, h)),
                        of(0.0),
                        of(true),
                        none(),
                        none());
                out.narrow(0, start, n).copy_(Aten.tensor(result, 0).squeeze(0).transpose(0, 1));
                return Aten.tensor(result, 1);
            });
        }
        return new State(logSumExp);
    }

    static void backward(
            Tensor dOut, Tensor qkv, Tensor out, AttentionState state, Heads h, Documents documents, Tensor dQkv) {
        Tensor[] logSumExp = ((State) state).logSumExp;
        for (int d = 0; d < logSumExp.length; d++) {
            int start = documents.start(d);
            int n = documents.length(d);
            try (PointerScope _ = new PointerScope()) {
                Tensor rows = qkv.narrow(0, start, n);
                IValueVector g = Aten.call(
                        BACKWARD,
                        of(heads(dOut.narrow(0, start, n))),
                        of(query(rows, h)),
                        of(key(rows, h)),
                        of(value(rows, h)),
                        of(heads(out.narrow(0, start, n))),
                        of(logSumExp[d]),
                        of(0.0),
                        of(true),
                        none(),
                        none());
                Tensor d3 = dQkv.narrow(0, start, n);
                d3.narrow(1, 0, h.query()).copy_(tokens(Aten.tensor(g, 0)));
                summed(Aten.tensor(g, 1), h, d3.narrow(1, h.query(), h.kv()));
                summed(Aten.tensor(g, 2), h, d3.narrow(1, h.query() + h.kv(), h.kv()));
            }
        }
    }

    private static Tensor query(Tensor rows, Heads h) {
        return heads(rows.narrow(1, 0, h.query()));
    }

    private static Tensor key(Tensor rows, Heads h) {
        return repeated(rows.narrow(1, h.query(), h.kv()), h);
    }

    private static Tensor value(Tensor rows, Heads h) {
        return repeated(rows.narrow(1, h.query() + h.kv(), h.kv()), h);
    }

    /// (n, heads, D) -> (1, heads, n, D).
    private static Tensor heads(Tensor x) {
        return x.transpose(0, 1).unsqueeze(0);
    }

    /// (1, heads, n, D) -> (n, heads, D).
    private static Tensor tokens(Tensor x) {
        return x.squeeze(0).transpose(0, 1);
    }

    /// (n, K, D) -> (1, H, n, D): each kv head as often as query heads share it.
    private static Tensor repeated(Tensor x, Heads h) {
        int group = h.query() / h.kv();
        long n = x.size(0);
        return group == 1
                ? heads(x)
                : x.transpose(0, 1)
                        .unsqueeze(1)
                        .expand(h.kv(), group, n, h.size())
                        .reshape(1, h.query(), n, h.size());
    }

    /// (1, H, n, D) -> (n, K, D): the sum over the query heads that share a kv head, written into `to`.
    private static void summed(Tensor x, Heads h, Tensor to) {
        int group = h.query() / h.kv();
        Tensor sum = group == 1
                ? tokens(x)
                : x.view(h.kv(), group, x.size(2), h.size()).sum(1).transpose(0, 1);
        to.copy_(sum);
    }
}
