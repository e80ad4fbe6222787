package org.sftnative.train;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.model.AdapterFiles;
import org.sftnative.model.AdapterMerge;
import org.sftnative.model.Adapters;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Llama;

/// A model that answers and scores: weights, quantised if that is asked for, and the adapters that are named. The last
/// adapter is applied beside the weights, as in training; those before it are folded into them first, in fp32.
public final class ReadyModel implements AutoCloseable {
    private final FrozenBase base;
    private final Optional<Adapters> adapters;
    private final Llama llama;

    private ReadyModel(FrozenBase base, Optional<Adapters> adapters, Llama llama) {
        this.base = base;
        this.adapters = adapters;
        this.llama = llama;
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
        FrozenBase base = loaded.frozen();
        Optional<Adapters> last = Optional.empty();
        try {
            for (Path directory : directories) {
                last.ifPresent(before -> {
                    AdapterMerge.fold(before, loaded.config(), base.dense());
                    before.close();
                });
                last = Optional.empty();
                last = Optional.of(AdapterFiles.load(directory, loaded.config(), loaded.device()));
            }
            return new ReadyModel(base, last, loaded.llama(base, last));
        } catch (RuntimeException e) {
            last.ifPresent(Adapters::close);
            base.close();
            throw e;
        }
    }

    public Llama llama() {
        return llama;
    }

    @Override
    public void close() {
        adapters.ifPresent(Adapters::close);
        base.close();
    }
}
