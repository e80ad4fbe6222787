package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.io.StoredDtype;
import org.sftnative.io.TensorSource;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// Adapters that began as the largest singular values of their matrices: W = R + s B0 A0 (arXiv 2404.02948). In memory
/// the base is R, rounded to its dtype, and A and B are trained over it. Files hold LoRA of twice the rank over W, A on
/// top of A0 and B beside -B0, as PEFT converts it: s [B, -B0] [A; A0] is what training changed, and any reader of LoRA
/// applies it to the base as it is.
public final class Pissa implements AutoCloseable {
    private final Adapters began;

    private Pissa(Adapters began) {
        this.began = began;
    }

    /// Takes what adapters begin with out of their base.
    ///
    /// @param began A0 and B0, from here on this object's
    /// @param base whose matrices become R; none is packed
    public static Pissa takeOut(Adapters began, FrozenBase base) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (AdapterSpec spec : began.specs()) {
                try (PointerScope _ = new PointerScope()) {
                    Tensor weight = base.weight(spec.weight());
                    Tensor rest = weight.to(ScalarType.Float)
                            .sub(torch.mm(began.b(spec), began.a(spec)), new Scalar(spec.scaling()));
                    weight.copy_(rest);
                }
            }
        }
        return new Pissa(began);
    }

    /// The adapters that were trained, of a file's.
    ///
    /// @param plain as [AdapterConfig#doubled] says, with the weights of [#sources]
    /// @param config of the run
    public static Adapters trained(Adapters plain, AdapterConfig config, LlamaConfig model) {
        return half(plain, config, model, 0);
    }

    /// What they began with, of the same file; modules that are trained in full are as they are now.
    public static Adapters began(Adapters plain, AdapterConfig config, LlamaConfig model) {
        return half(plain, config, model, 1);
    }

    private static Adapters half(Adapters plain, AdapterConfig config, LlamaConfig model, int half) {
        Adapters adapters = Adapters.of(config, model, plain.trained().device());
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (AdapterSpec spec : adapters.specs()) {
                long from = (long) half * spec.rank();
                adapters.a(spec).copy_(plain.a(spec).narrow(0, from, spec.rank()));
                Tensor b = plain.b(spec).narrow(1, from, spec.rank());
                adapters.b(spec).copy_(half == 0 ? b : b.neg());
            }
            for (String name : adapters.saved()) {
                adapters.saved(name).orElseThrow().copy_(plain.saved(name).orElseThrow());
            }
        }
        return adapters;
    }

    /// What they began with.
    public Parameters began() {
        return began.trained();
    }

    /// The tensors of a file, fp32, each made as it is written.
    ///
    /// @param trained what is trained, or a copy of it
    public List<TensorSource> sources(Parameters trained) {
        List<String> as = began.specs().stream().map(AdapterSpec::a).toList();
        List<String> bs = began.specs().stream().map(AdapterSpec::b).toList();
        List<TensorSource> sources = new ArrayList<>();
        for (TensorSource source : LlamaFiles.sources(trained, Dtype.F32)) {
            String name = source.name();
            boolean pair = as.contains(name) || bs.contains(name);
            sources.add(pair ? joined(source, trained.weight(name), as.contains(name) ? 0 : 1) : source);
        }
        return sources;
    }

    private TensorSource joined(TensorSource now, Tensor weight, int dimension) {
        List<Long> shape = new ArrayList<>(now.shape());
        shape.set(dimension, 2 * shape.get(dimension));
        return new TensorSource(now.name(), StoredDtype.of(Dtype.F32), shape, sink -> {
            try (PointerScope _ = new PointerScope();
                    NoGradGuard _ = new NoGradGuard()) {
                Tensor before = Tensors.to(began.trained().weight(now.name()), Devices.cpu());
                Tensor after = Tensors.to(weight.detach(), Devices.cpu());
                Tensor both = torch.cat(new TensorVector(after, dimension == 0 ? before : before.neg()), dimension);
                sink.write(Tensors.memory(both.contiguous()));
            }
        });
    }

    @Override
    public void close() {
        began.close();
    }
}
