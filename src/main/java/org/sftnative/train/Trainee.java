package org.sftnative.train;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.sftnative.InputException;
import org.sftnative.config.LoraInit;
import org.sftnative.config.RunSettings;
import org.sftnative.dist.World;
import org.sftnative.io.HubName;
import org.sftnative.io.ModelWriter;
import org.sftnative.io.TensorSource;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.AdapterFiles;
import org.sftnative.model.AdapterInit;
import org.sftnative.model.Adapters;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.Parameters;
import org.sftnative.model.Pissa;
import org.sftnative.tensor.Dtype;

/// What a run trains, and how it is saved: all weights of a model, or adapters over a frozen one.
final class Trainee implements AutoCloseable {
    /// A frozen model and what is trained over it.
    ///
    /// @param pissa what the adapters began with, if it was taken out of the base
    record Adapted(FrozenBase base, Adapters adapters, Optional<Pissa> pissa) {}

    private final RunSettings settings;
    private final LoadedModel loaded;
    private final Optional<World> sharing; // ranks that share the weights out
    private final Parameters weights;
    private final Optional<Adapted> adapted;

    private Trainee(
            RunSettings settings,
            LoadedModel loaded,
            Optional<World> sharing,
            Parameters weights,
            Optional<Adapted> adapted) {
        this.settings = settings;
        this.loaded = loaded;
        this.sharing = sharing;
        this.weights = weights;
        this.adapted = adapted;
    }

    /// Which adapters the settings ask for; absent: every weight is trained.
    ///
    /// @throws InputException if the model does not have what they name, or an adapter is not for it
    static Optional<AdapterConfig> adapters(RunSettings settings, LoadedModel loaded) {
        List<Path> given = settings.model().adapter();
        Optional<AdapterConfig> config = given.isEmpty()
                ? settings.lora().loraR().map(_ -> AdapterConfig.of(settings.lora()))
                : Optional.of(AdapterFiles.config(given.getFirst(), loaded.config()));
        config.ifPresent(c -> {
            c.specs(loaded.config());
            c.savedWeights(loaded.config());
        });
        return config;
    }

    /// Reads what is trained: the model's weights, an adapter's, or those of a checkpoint that the run goes on from; or
    /// makes fresh adapters.
    static Trainee of(
            RunSettings settings, LoadedModel loaded, ComputePlan compute, Optional<Path> checkpoint, World world) {
        if (compute.adapters().isEmpty()) {
            Optional<World> sharing =
                    Optional.of(world).filter(_ -> compute.sharding().sharesWeights());
            Parameters weights = Training.weights(loaded, settings.model(), checkpoint, sharing);
            return new Trainee(settings, loaded, sharing, weights, Optional.empty());
        }
        FrozenBase base = loaded.frozen(compute.ops(), Optional.of(world).filter(_ -> compute.sharesBase()));
        try {
            AdapterConfig config = compute.adapters().get();
            Adapters adapters = adapters(settings, loaded, config, base, checkpoint);
            Optional<Pissa> pissa = config.init() == LoraInit.PISSA
                    ? Optional.of(Pissa.takeOut(began(adapters, loaded, checkpoint), base))
                    : Optional.empty();
            return new Trainee(
                    settings,
                    loaded,
                    Optional.empty(),
                    adapters.trained(),
                    Optional.of(new Adapted(base, adapters, pissa)));
        } catch (RuntimeException e) {
            base.close();
            throw e;
        }
    }

    /// Those of a checkpoint, else of the adapter that the settings name, else fresh ones.
    private static Adapters adapters(
            RunSettings settings,
            LoadedModel loaded,
            AdapterConfig config,
            FrozenBase base,
            Optional<Path> checkpoint) {
        Optional<Path> from =
                checkpoint.or(() -> settings.model().adapter().stream().findFirst());
        if (from.isPresent() && config.init() == LoraInit.PISSA) {
            try (Adapters plain = read(from.get(), config.doubled(), loaded)) {
                return Pissa.trained(plain, config, loaded.config());
            }
        }
        if (from.isPresent()) {
            return read(from.get(), config, loaded);
        }
        Adapters adapters = Adapters.of(config, loaded.config(), loaded.device());
        AdapterInit.fill(adapters, base, settings.training().seed());
        return adapters;
    }

    /// What PiSSA's adapters began with: what they are, or the other half of a checkpoint's.
    private static Adapters began(Adapters adapters, LoadedModel loaded, Optional<Path> checkpoint) {
        AdapterConfig config = adapters.config();
        if (checkpoint.isPresent()) {
            try (Adapters plain = read(checkpoint.get(), config.doubled(), loaded)) {
                return Pissa.began(plain, config, loaded.config());
            }
        }
        Adapters began = Adapters.of(config, loaded.config(), loaded.device());
        copy(adapters.trained(), began.trained());
        return began;
    }

    private static void copy(Parameters from, Parameters to) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            to.keptWeights().copy_(from.keptWeights());
        }
    }

    /// Adapters of a directory, under the config of the run.
    private static Adapters read(Path directory, AdapterConfig config, LoadedModel loaded) {
        Adapters saved = AdapterFiles.load(directory, loaded.config(), loaded.device());
        boolean same = saved.specs().equals(config.specs(loaded.config()))
                && saved.saved().equals(config.savedWeights(loaded.config()));
        if (!same) {
            saved.close();
            throw new InputException(directory + " has other adapters than this run: r "
                    + saved.config().r()
                    + ", alpha " + saved.config().alpha() + " on "
                    + saved.specs().size() + " modules, not r "
                    + config.r() + ", alpha " + config.alpha() + " on "
                    + config.specs(loaded.config()).size()
                    + "\n  resume with the adapter settings that the run began with");
        }
        return saved.under(config);
    }

    /// What the optimizer updates.
    Parameters weights() {
        return weights;
    }

    Optional<Adapted> adapted() {
        return adapted;
    }

    /// Puts what a checkpoint has, or what the run began with, into the place of [#weights].
    void goBack(Optional<Path> checkpoint) {
        Optional<Pissa> pissa = adapted.flatMap(Adapted::pissa);
        if (pissa.isPresent() && checkpoint.isEmpty()) {
            copy(pissa.get().began(), weights);
            return;
        }
        try (Parameters saved = adapted.map(
                        a -> adapters(settings, loaded, a.adapters().config(), a.base(), checkpoint)
                                .trained())
                .orElseGet(() -> Training.weights(loaded, settings.model(), checkpoint, sharing))) {
            copy(saved, weights);
        }
    }

    /// The tensors that [#save] writes.
    ///
    /// @param weights those of this, or a copy of them
    List<TensorSource> sources(Parameters weights) {
        return adapted.flatMap(Adapted::pissa)
                .map(pissa -> pissa.sources(weights))
                .orElseGet(() -> LlamaFiles.sources(weights, adapted.isPresent() ? Dtype.F32 : loaded.dtype()));
    }

    /// Writes a directory that can be used: a model, in the dtype that it was trained in, or a PEFT adapter; with the
    /// tokenizer.
    ///
    /// @param weights those of this, or a copy of them
    void save(Path directory, Parameters weights) {
        if (adapted.isPresent()) {
            AdapterConfig config = adapted.get().adapters().config();
            AdapterFiles.save(
                    directory,
                    adapted.get().pissa().isPresent() ? config.doubled() : config,
                    sources(weights),
                    HubName.ofSnapshot(settings.model().modelNameOrPath())
                            .map(HubName::id)
                            .orElse(settings.model().modelNameOrPath().toString()));
            ModelWriter.copyTokenizer(loaded.path(), directory);
            return;
        }
        ModelWriter.save(directory, loaded.configJson(), loaded.dtype(), sources(weights), Optional.of(loaded.path()));
    }

    @Override
    public void close() {
        weights.close();
        adapted.ifPresent(a -> {
            a.pissa().ifPresent(Pissa::close);
            a.base().close();
        });
    }
}
