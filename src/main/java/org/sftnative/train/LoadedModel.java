package org.sftnative.train;

import java.nio.file.Path;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.sftnative.config.ModelSettings;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.data.Tokenizer;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.Parameters;
import org.sftnative.model.QuantisedMatrices;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Quantiser;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Torch;
import tools.jackson.databind.node.ObjectNode;

/// A model directory opened for use: its configuration and tokenizer, and, once wanted, its weights on a device.
/// What is cheap to check comes first, so that a wrong directory is told before anything is loaded or written.
public final class LoadedModel implements AutoCloseable {
    private final ModelDirectory directory;
    private final LlamaConfig config;
    private final Tokenizer tokenizer;
    private final Device device;
    private final PrecisionChoice precision;
    private final Optional<Quantiser.Kind> quantised;

    private LoadedModel(
            ModelDirectory directory,
            LlamaConfig config,
            Tokenizer tokenizer,
            Device device,
            PrecisionChoice precision,
            Optional<Quantiser.Kind> quantised) {
        this.quantised = quantised;
        this.directory = directory;
        this.config = config;
        this.tokenizer = tokenizer;
        this.device = device;
        this.precision = precision;
    }

    /// Opens a directory without reading weights.
    public static LoadedModel open(ModelSettings settings) {
        ModelDirectory directory = ModelDirectory.open(settings.modelNameOrPath());
        try {
            LlamaConfig config = LlamaConfig.of(directory.config());
            Tokenizer tokenizer = Tokenizer.load(settings.modelNameOrPath());
            Torch.start(settings.threads());
            Device device = Devices.parse(settings.device());
            PrecisionChoice precision = settings.precision() != PrecisionChoice.AUTO
                    ? settings.precision()
                    : Devices.isCuda(device) ? PrecisionChoice.BF16 : PrecisionChoice.FP32;
            Optional<Quantiser.Kind> quantised = settings.loadIn_4bit()
                    ? Optional.of(Quantiser.Kind.NF4_DOUBLE)
                    : settings.loadIn_8bit() ? Optional.of(Quantiser.Kind.INT8) : Optional.empty();
            return new LoadedModel(directory, config, tokenizer, device, precision, quantised);
        } catch (RuntimeException e) {
            directory.close();
            throw e;
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

    /// How the matrices of a frozen model are kept; absent: as they are.
    public Optional<Quantiser.Kind> quantised() {
        return quantised;
    }

    /// Reads the weights of a model that is not trained itself, quantised if the settings say so.
    ///
    /// @param ops unpacks quantised matrices
    public FrozenBase frozen(Ops ops) {
        return LlamaFiles.loadFrozen(
                directory, config, dtype(), device, quantised.map(kind -> new QuantisedMatrices(kind, ops, device)));
    }

    /// The reference model over weights: for evaluation, generation and whoever changes the model.
    public Llama llama(Parameters weights) {
        return new Llama(config, weights, new Llama.Options(false, precision == PrecisionChoice.BF16_AUTOCAST));
    }

    @Override
    public void close() {
        directory.close();
    }
}
