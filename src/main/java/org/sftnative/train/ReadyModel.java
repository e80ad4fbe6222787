package org.sftnative.train;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.NoGradGuard;
import org.sftnative.InputException;
import org.sftnative.model.AdapterFiles;
import org.sftnative.model.AdapterMerge;
import org.sftnative.model.Adapters;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Scopes;

/// A model that answers and scores: weights, quantised if that is asked for, and the adapters that are named. The last
/// adapter is applied beside the weights, as in training, until [#decoder] folds it; those before it are folded into
/// the weights first, in fp32.
public final class ReadyModel implements AutoCloseable {
    private final LoadedModel loaded;
    private FrozenBase base;
    private Optional<Adapters> adapters;

    private ReadyModel(LoadedModel loaded, FrozenBase base, Optional<Adapters> adapters) {
        this.loaded = loaded;
        this.base = base;
        this.adapters = adapters;
    }

    /// Reads weights and adapters.
    ///
    /// @throws InputException if an adapter is not for this model, or several are to be folded into a quantised one
    static ReadyModel of(LoadedModel loaded, List<Path> directories) {
        directories.forEach(path -> AdapterFiles.config(path, loaded.config())); // before anything is loaded
        if (directories.size() > 1 && loaded.quantised().isPresent()) {
            throw new InputException("several adapters cannot be applied to a quantised model: all but the last are"
                    + " folded into its weights\n  leave out load_in_4bit or load_in_8bit");
        }
        ReadyModel ready = new ReadyModel(loaded, loaded.frozen(), Optional.empty());
        try {
            for (Path directory : directories) {
                ready.fold();
                ready.adapters = Optional.of(AdapterFiles.load(directory, loaded.config(), loaded.device()));
            }
            return ready;
        } catch (RuntimeException e) {
            ready.close();
            throw e;
        }
    }

    /// For scoring. After [#decoder], over the same folded weights.
    public Llama llama() {
        return loaded.llama(base, adapters);
    }

    /// For generation: over whole weights with the adapter in them. A quantised model is made whole again, with the
    /// values that its codes stand for; that takes the memory of one that is not.
    public LlamaDecoder decoder() {
        if (base.packed().isPresent()) {
            Parameters whole = new Parameters(ParameterLayout.of(loaded.config()), loaded.dtype(), loaded.device());
            try (NoGradGuard _ = new NoGradGuard()) {
                for (String name : whole.layout().slots().keySet()) {
                    Scopes.run(() -> whole.weight(name).copy_(base.weight(name)));
                }
            }
            base.close();
            base = FrozenBase.of(whole);
        }
        fold();
        return loaded.decoder(base.dense());
    }

    private void fold() {
        adapters.ifPresent(a -> {
            AdapterMerge.fold(a, loaded.config(), base.dense());
            a.close();
        });
        adapters = Optional.empty();
    }

    @Override
    public void close() {
        adapters.ifPresent(Adapters::close);
        base.close();
    }
}
