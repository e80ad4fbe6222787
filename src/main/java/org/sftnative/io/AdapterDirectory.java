package org.sftnative.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SequencedSet;
import java.util.TreeSet;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.node.ObjectNode;

/// An adapter as PEFT lays it out: `adapter_config.json` and `adapter_model.safetensors`. What the config means, and
/// which tensors must be there, is the model room's to say.
public final class AdapterDirectory implements AutoCloseable {
    /// The config's file.
    public static final String CONFIG = "adapter_config.json";

    private static final String WEIGHTS = "adapter_model.safetensors";
    private static final String PICKLE = "adapter_model.bin";
    private static final int SHOWN = 3;

    private final Path path;
    private final ObjectNode config;
    private final SafetensorsFile file;

    private AdapterDirectory(Path path, ObjectNode config, SafetensorsFile file) {
        this.path = path;
        this.config = config;
        this.file = file;
    }

    /// Whether a directory is an adapter's.
    public static boolean is(Path path) {
        return Files.isRegularFile(path.resolve(CONFIG));
    }

    /// Opens a directory without reading weights.
    ///
    /// @throws InputException if it is not an adapter's, or its files are damaged
    public static AdapterDirectory open(Path path) {
        if (!Files.isDirectory(path)) {
            throw new InputException("adapter directory " + path
                    + (Files.exists(path) ? " is not a directory" : " does not exist")
                    + "\n  give the path of a directory with " + CONFIG + " and " + WEIGHTS);
        }
        if (!is(path)) {
            boolean model = Files.isRegularFile(path.resolve(ModelDirectory.CONFIG));
            throw new InputException(path + " is no adapter: it has no " + CONFIG
                    + (model
                            ? "\n  it is a whole model: give it as --model, without an adapter"
                            : "\n  give the path of a directory that PEFT or this program saved an adapter to"));
        }
        ObjectNode config = JsonFiles.readObject(path.resolve(CONFIG));
        Path weights = path.resolve(WEIGHTS);
        if (!Files.isRegularFile(weights)) {
            throw new InputException(path + " has no " + WEIGHTS
                    + (Files.exists(path.resolve(PICKLE))
                            ? ", only " + PICKLE
                                    + ", which can run code when it is read\n  save it with PEFT's"
                                    + " save_pretrained(..., safe_serialization=True)"
                            : "\n  the adapter was not saved whole: get it again"));
        }
        return new AdapterDirectory(path, config, SafetensorsFile.open(weights));
    }

    public Path path() {
        return path;
    }

    /// `adapter_config.json` as it stands.
    public ObjectNode config() {
        return config.deepCopy();
    }

    /// Refuses weights that are not exactly those that are expected.
    ///
    /// @param expected names and shapes
    /// @throws InputException naming what is missing, what is too much, or both shapes
    public void check(Map<String, long[]> expected) {
        TreeSet<String> missing = new TreeSet<>(expected.keySet());
        missing.removeAll(file.tensors().keySet());
        if (!missing.isEmpty()) {
            throw new InputException(file.path() + ": " + list(missing) + " missing that " + CONFIG + " asks for"
                    + "\n  the adapter was not saved whole, or is for a model with other layers");
        }
        TreeSet<String> extra = new TreeSet<>(file.tensors().keySet());
        extra.removeAll(expected.keySet());
        if (!extra.isEmpty()) {
            throw new InputException(file.path() + ": " + list(extra) + " there that " + CONFIG
                    + " does not ask for, or the model has no place for"
                    + "\n  the adapter is for another model, or its config was changed");
        }
        expected.forEach((name, dimensions) -> {
            TensorInfo info = file.info(name);
            List<Long> shape = Arrays.stream(dimensions).boxed().toList();
            if (!info.shape().equals(shape)) {
                throw new InputException(file.path() + ": " + name + " has shape " + info.shape() + ", with this model"
                        + " it must have " + shape + "\n  the adapter is for another base model, or another rank");
            }
            if (info.dtype().weights().isEmpty()) {
                throw new InputException(
                        file.path() + ": " + name + " is " + info.dtype() + ", supported: F32, BF16, F16");
            }
        });
    }

    private static String list(SequencedSet<String> names) {
        List<String> shown =
                names.stream().limit(SHOWN).map(n -> "'" + Shown.text(n) + "'").toList();
        return String.join(", ", shown)
                + (names.size() > SHOWN ? " and " + (names.size() - SHOWN) + " more" : "")
                + (names.size() == 1 ? " is" : " are");
    }

    /// Copies a tensor into memory, converted.
    ///
    /// @see SafetensorsFile#read
    public void read(String name, Dtype as, MemorySegment to) {
        file.read(name, as, to);
    }

    /// Saves an adapter into a directory, which is made if need be, the config last: a directory that has it has the
    /// rest.
    ///
    /// @throws InputException if the directory cannot be written to
    public static void save(Path directory, ObjectNode config, List<TensorSource> tensors) {
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " cannot be made: " + e.getMessage(), e);
        }
        SafetensorsWriter.write(directory.resolve(WEIGHTS), SafetensorsWriter.PYTORCH, tensors);
        // PEFT writes this file without a newline at its end; what it reads is the same
        AtomicFiles.writeText(directory.resolve(CONFIG), JsonFiles.pretty(config));
    }

    @Override
    public void close() {
        file.close();
    }
}
