package org.sftnative.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Device;
import org.sftnative.InputException;
import org.sftnative.config.ModelSettings;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.data.Tokenizer;
import org.sftnative.dist.World;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.Adapters;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.PackedMatrices;
import org.sftnative.model.Parameters;
import org.sftnative.model.QuantisedMatrices;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.CudaOps;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Quantiser;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Torch;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A model directory opened for use: its configuration and tokenizer, and, once wanted, its weights on a device.
/// What is cheap to check comes first, so that a wrong directory is told before anything is loaded or written.
public final class LoadedModel implements AutoCloseable {
    private final ModelDirectory directory;
    private final LlamaConfig config;
    private final Tokenizer tokenizer;
    private final Device device;
    private final PrecisionChoice precision;
    private final ModelSettings settings;
    private final Set<Integer> stopTokens;

    private LoadedModel(
            ModelDirectory directory,
            LlamaConfig config,
            Tokenizer tokenizer,
            Device device,
            PrecisionChoice precision,
            ModelSettings settings) {
        this.directory = directory;
        this.config = config;
        this.tokenizer = tokenizer;
        this.device = device;
        this.precision = precision;
        this.settings = settings;
        stopTokens = stopTokens(directory, config, tokenizer);
    }

    /// Opens a directory without reading weights. Nothing but weights and adapters is read of it later: the directory
    /// may be a checkpoint of a run that goes on, and removes it.
    public static LoadedModel open(ModelSettings settings) {
        return told(List.of(settings.modelNameOrPath()), () -> read(settings));
    }

    private static LoadedModel read(ModelSettings settings) {
        ModelDirectory directory = ModelDirectory.open(settings.modelNameOrPath());
        try {
            LlamaConfig config = LlamaConfig.of(directory.config());
            Tokenizer tokenizer = Tokenizer.load(settings.modelNameOrPath());
            Torch.start(settings.threads());
            Device device = Devices.parse(settings.device());
            PrecisionChoice precision = settings.precision() != PrecisionChoice.AUTO
                    ? settings.precision()
                    : Devices.isCuda(device) ? PrecisionChoice.BF16 : PrecisionChoice.FP32;
            return new LoadedModel(directory, config, tokenizer, device, precision, settings);
        } catch (RuntimeException e) {
            directory.close();
            throw e;
        }
    }

    /// Reads directories; if that fails since one of them is there no more, says so.
    static <T> T told(List<Path> directories, Supplier<T> reading) {
        List<Path> there = directories.stream().filter(Files::isDirectory).toList();
        try {
            return reading.get();
        } catch (RuntimeException e) {
            Path gone = there.stream()
                    .filter(path -> !Files.isDirectory(path))
                    .findFirst()
                    .orElseThrow(() -> e);
            throw new InputException(
                    gone + " was removed while it was read\n  a run that goes on removes its older checkpoints"
                            + " (save_total_limit): name a newer one, or a copy",
                    e);
        }
    }

    public LlamaConfig config() {
        return config;
    }

    public Tokenizer tokenizer() {
        return tokenizer;
    }

    public Device device() {
        return device;
    }

    /// The arithmetic of the run; never `AUTO`.
    public PrecisionChoice precision() {
        return precision;
    }

    /// The directory.
    public Path path() {
        return directory.path();
    }

    /// `config.json` as it stands.
    public ObjectNode configJson() {
        return directory.config();
    }

    /// The dtype that weights are kept in with this precision.
    public Dtype dtype() {
        return precision == PrecisionChoice.BF16 ? Dtype.BF16 : Dtype.F32;
    }

    /// Reads the weights.
    public Parameters weights() {
        return LlamaFiles.load(directory, config, dtype(), device);
    }

    /// Reads one rank's part of the weights.
    Parameters weights(World world) {
        return LlamaFiles.loadPart(directory, config, dtype(), device, world);
    }

    /// How the blocks' matrices are kept, if not as they are.
    public Optional<Quantiser.Kind> quantised() {
        if (settings.loadIn_8bit()) {
            return Optional.of(Quantiser.Kind.INT8);
        }
        return settings.loadIn_4bit()
                ? Optional.of(settings.bnb_4bitUseDoubleQuant() ? Quantiser.Kind.NF4_DOUBLE : Quantiser.Kind.NF4)
                : Optional.empty();
    }

    /// What adapters are trained over: the weights, and how they are kept.
    String frozenBase() {
        return directory.fingerprint() + quantised().map(kind -> " in " + kind).orElse("");
    }

    /// Reads the weights of a model that is not trained itself, quantised if that is asked for: each matrix as it is
    /// read, so that never more than one is there whole.
    ///
    /// @param ops reads quantised matrices
    /// @param sharing the ranks that each keep a part, if they do: then nothing is quantised
    FrozenBase frozen(Ops ops, Optional<World> sharing) {
        if (sharing.isPresent()) {
            return LlamaFiles.loadFrozenPart(directory, config, dtype(), device, sharing.get());
        }
        Optional<PackedMatrices> packed = quantised().map(kind -> new QuantisedMatrices(kind, ops, device));
        return LlamaFiles.loadFrozen(directory, config, dtype(), device, packed);
    }

    /// The same with this program's kernels where they can run.
    FrozenBase frozen() {
        boolean kernels = Devices.isCuda(device) && quantised().isPresent();
        Ops ops = kernels && CudaOps.probe(device) instanceof CudaOps.Probe.Ready(CudaOps own, String _)
                ? own
                : new AtenOps();
        return frozen(ops, Optional.empty());
    }

    /// The model with the adapters that the settings name, for evaluation and generation.
    public ReadyModel ready() {
        List<Path> read =
                Stream.concat(Stream.of(path()), settings.adapter().stream()).toList();
        return told(read, () -> ReadyModel.of(this, settings.adapter()));
    }

    /// The reference model over a base that is not trained, with an adapter or without.
    Llama llama(FrozenBase base, Optional<Adapters> adapters) {
        Llama.Options options = new Llama.Options(false, precision == PrecisionChoice.BF16_AUTOCAST);
        return adapters.map(a -> new Llama(config, base, a, options)).orElseGet(() -> new Llama(config, base, options));
    }

    /// The reference model over weights: for evaluation, generation and whoever changes the model.
    public Llama llama(Parameters weights) {
        return new Llama(config, weights, new Llama.Options(false, precision == PrecisionChoice.BF16_AUTOCAST));
    }

    /// The model for generation over weights.
    public LlamaDecoder decoder(Parameters weights) {
        boolean autocast = precision == PrecisionChoice.BF16_AUTOCAST;
        boolean kernels = Devices.isCuda(device) && precision == PrecisionChoice.BF16;
        Ops ops = kernels && CudaOps.probe(device) instanceof CudaOps.Probe.Ready(CudaOps own, String _)
                ? own
                : new AtenOps();
        return new LlamaDecoder(config, weights, ops, autocast);
    }

    /// Tokens that end a text: those that generation_config.json, config.json and the tokenizer name.
    public Set<Integer> stopTokens() {
        return stopTokens;
    }

    private static Set<Integer> stopTokens(ModelDirectory directory, LlamaConfig config, Tokenizer tokenizer) {
        Set<Integer> stops = new TreeSet<>(config.eosTokenIds());
        tokenizer.eosId().ifPresent(stops::add);
        directory
                .generationConfig()
                .map(g -> g.path("eos_token_id"))
                .ifPresent(eos -> (eos.isArray() ? eos.values() : List.of(eos))
                        .stream().filter(JsonNode::isInt).forEach(id -> stops.add(id.asInt())));
        return Set.copyOf(stops);
    }

    @Override
    public void close() {
        directory.close();
    }
}
