package org.sftnative.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A model directory as Hugging Face lays it out: `config.json`, weights in one `model.safetensors` or in shards
/// with an index (the single file wins, as in transformers), tokenizer files. Opening reads all headers and no
/// weights. Pickle files are never opened, names in the index never lead out of the directory, and links only
/// within it or, in the Hub's cache, within the model's own entry. Whether names and shapes of tensors fit the
/// config is the model room's to check.
public final class ModelDirectory implements AutoCloseable {
    /// The `model_type`s that are LLaMA in all but name.
    public static final List<String> SUPPORTED = List.of("llama", "mistral", "qwen2");

    static final String CONFIG = "config.json";
    static final String WEIGHTS = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";

    private final Path path;
    private final ObjectNode config;
    private final List<SafetensorsFile> files;
    private final SequencedMap<String, SafetensorsFile> byTensor;

    private ModelDirectory(Path path, ObjectNode config, List<SafetensorsFile> files) {
        this.path = path;
        this.config = config;
        this.files = List.copyOf(files);
        this.byTensor = new LinkedHashMap<>();
        for (SafetensorsFile file : files) {
            for (String tensor : file.tensors().keySet()) {
                SafetensorsFile other = byTensor.putIfAbsent(tensor, file);
                if (other != null) {
                    throw new InputException(path + ": tensor '" + Shown.text(tensor) + "' is in "
                            + other.path().getFileName() + " and in "
                            + file.path().getFileName()
                            + "\n  the shards are from different saves: get the model again");
                }
            }
        }
    }

    /// Opens a directory.
    ///
    /// @throws InputException if it is not a model directory, of an unknown kind, or its files do not fit one
    /// another
    public static ModelDirectory open(Path path) {
        if (!Files.isDirectory(path)) {
            throw new InputException("model directory " + path
                    + (Files.exists(path) ? " is not a directory" : " does not exist")
                    + "\n  give the path of a directory with config.json, tokenizer.json and safetensors files");
        }
        ObjectNode config = JsonFiles.readObject(file(path, CONFIG).orElseThrow(() -> noConfig(path)));
        checkKind(path, config);
        List<SafetensorsFile> files = new ArrayList<>();
        try {
            Optional<Path> single = file(path, WEIGHTS);
            if (single.isPresent()) {
                files.add(SafetensorsFile.open(single.get()));
                return new ModelDirectory(path, config, files);
            }
            Path index = file(path, INDEX).orElseThrow(() -> noWeights(path));
            Map<String, String> weightMap = weightMap(index);
            for (String shard : new TreeSet<>(weightMap.values())) {
                files.add(SafetensorsFile.open(file(path, shard)
                        .orElseThrow(() -> new InputException(index + ": names the shard " + Shown.text(shard)
                                + ", which is missing\n  the download is not finished: get the model again"))));
            }
            ModelDirectory directory = new ModelDirectory(path, config, files);
            directory.checkIndex(index, weightMap);
            return directory;
        } catch (RuntimeException e) {
            files.forEach(SafetensorsFile::close);
            throw e;
        }
    }

    private static InputException noConfig(Path path) {
        return new InputException(path + " has no config.json: it is not a model directory"
                + (Files.exists(path.resolve("adapter_config.json"))
                        ? "\n  it holds a LoRA adapter: give the directory of its base model"
                        : "\n  give the directory that holds config.json, tokenizer.json and safetensors files"));
    }

    private static InputException noWeights(Path path) {
        List<String> pickles = new ArrayList<>();
        List<String> loose = new ArrayList<>();
        try (Stream<Path> all = Files.list(path)) {
            all.map(file -> file.getFileName().toString()).sorted().forEach(name -> {
                if (name.matches("(?i).*\\.(bin|pt|pth|ckpt|pkl)")) {
                    pickles.add(name);
                } else if (name.endsWith(".safetensors")) {
                    loose.add(name);
                }
            });
        } catch (IOException e) {
            return new InputException(path + " cannot be read: " + e.getMessage(), e);
        }
        String missing = path + " has neither " + WEIGHTS + " nor " + INDEX;
        if (!loose.isEmpty()) {
            return new InputException(missing + ", though " + loose.size() + " other safetensors files, such as "
                    + Shown.text(loose.getFirst()) + "\n  shards need their index: get the model again");
        }
        if (!pickles.isEmpty()) {
            return new InputException(missing + ", only pickle files, such as " + Shown.text(pickles.getFirst())
                    + ", which can run code and are never read\n  convert it: load it in transformers, save_pretrained"
                    + " writes safetensors");
        }
        return new InputException(missing + "\n  the directory holds no weights: get the model again");
    }

    static void checkKind(Path path, ObjectNode config) {
        JsonNode type = config.get("model_type");
        if (type == null || !type.isString()) {
            throw new InputException(path.resolve(CONFIG) + ": 'model_type' is "
                    + (type == null ? "missing" : "no string") + "\n  supported are " + String.join(", ", SUPPORTED));
        }
        if (!SUPPORTED.contains(type.stringValue())) {
            throw new InputException(path.resolve(CONFIG) + ": model_type '" + Shown.text(type.stringValue())
                    + "' is not supported\n  supported are " + String.join(", ", SUPPORTED));
        }
    }

    /// The index's tensors and their shards, each a bare name; nothing of it has been opened yet.
    static Map<String, String> weightMap(Path index) {
        JsonNode map = JsonFiles.readObject(index).get("weight_map");
        if (!(map instanceof ObjectNode entries) || entries.isEmpty()) {
            throw new InputException(index + ": 'weight_map' is missing, empty or no object\n  get the model again");
        }
        Map<String, String> weightMap = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : entries.properties()) {
            String where = index + ": weight_map of '" + Shown.text(entry.getKey()) + "' ";
            if (!entry.getValue().isString()) {
                throw new InputException(where + "is no string");
            }
            String shard = entry.getValue().stringValue();
            if (shard.matches("(?s).*[/\\\\:\\x00-\\x1f].*") || shard.startsWith(".") || shard.isBlank()) {
                throw new InputException(where + "is '" + Shown.text(shard)
                        + "', must be the bare name of a file of this directory\n  do not use this model: its index"
                        + " points elsewhere");
            }
            if (!shard.endsWith(".safetensors")) {
                throw new InputException(where + "is '" + Shown.text(shard) + "', must be a safetensors file");
            }
            weightMap.put(entry.getKey(), shard);
        }
        return weightMap;
    }

    private void checkIndex(Path index, Map<String, String> weightMap) {
        String again = "\n  index and shards are from different saves: get the model again";
        weightMap.forEach((tensor, shard) -> {
            SafetensorsFile holder = byTensor.get(tensor);
            if (holder == null || !holder.path().getFileName().toString().equals(shard)) {
                throw new InputException(
                        index + ": says that tensor '" + Shown.text(tensor) + "' is in " + shard + ", it is in "
                                + (holder == null ? "no shard" : holder.path().getFileName()) + again);
            }
        });
        byTensor.forEach((tensor, holder) -> {
            if (!weightMap.containsKey(tensor)) {
                throw new InputException(index + ": does not name tensor '" + Shown.text(tensor) + "', which is in "
                        + holder.path().getFileName() + again);
            }
        });
    }

    /// A file of a directory by its bare name, or empty if it has none.
    ///
    /// @throws InputException if it is no file, or a link that leads nowhere or elsewhere
    static Optional<Path> file(Path directory, String name) {
        Path file = directory.resolve(name);
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            return Optional.empty();
        }
        if (!Files.exists(file)) {
            throw new InputException(file
                    + " is a link to a file that is not there\n  the download is not finished: get the model again");
        }
        if (!Files.isRegularFile(file)) {
            throw new InputException(file + " is not a file");
        }
        try {
            Path root = root(directory.toRealPath());
            Path target = file.toRealPath();
            if (!target.startsWith(root)) {
                throw new InputException(file + " is a link out of the model directory, to " + target
                        + "\n  put the file itself there, or give the directory that holds it");
            }
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + e.getMessage(), e);
        }
        return Optional.of(file);
    }

    /// What links may lead into: the directory, or the whole entry `models--ORG--NAME` of the Hub's cache, whose
    /// `snapshots/REV` are links into its `blobs`.
    private static Path root(Path directory) {
        Path snapshots = directory.getParent();
        Path entry = snapshots == null ? null : snapshots.getParent();
        boolean hub = entry != null
                && entry.getFileName() != null
                && snapshots.getFileName().toString().equals("snapshots")
                && entry.getFileName().toString().startsWith("models--");
        return hub ? entry : directory;
    }

    /// The directory, as it was given.
    public Path path() {
        return path;
    }

    /// `config.json`. A copy: the caller's to change.
    public ObjectNode config() {
        return config.deepCopy();
    }

    /// A file of the directory by its bare name, such as `tokenizer.json`; empty if there is none.
    ///
    /// @throws InputException if it is no file, or a link that leads nowhere or elsewhere
    public Optional<Path> file(String name) {
        return file(path, name);
    }

    /// `generation_config.json`, if there is one.
    public Optional<ObjectNode> generationConfig() {
        return file("generation_config.json").map(JsonFiles::readObject);
    }

    /// Names of all tensors, shard by shard.
    public Set<String> tensorNames() {
        return Collections.unmodifiableSet(byTensor.keySet());
    }

    /// What the headers say of one tensor.
    ///
    /// @throws InputException if there is none of that name
    public TensorInfo info(String name) {
        return holder(name).info(name);
    }

    /// The file that holds a tensor, for messages.
    ///
    /// @throws InputException if there is none of that name
    public Path fileOf(String name) {
        return holder(name).path();
    }

    /// Copies a tensor's elements into `to` as type `as`; see [SafetensorsFile#read].
    ///
    /// @throws InputException if there is none of that name, or it cannot be read
    public void read(String name, Dtype as, MemorySegment to) {
        holder(name).read(name, as, to);
    }

    /// The type that most elements of the weights are stored in.
    ///
    /// @throws InputException if no tensor is F32, BF16 or F16
    public Dtype storedDtype() {
        Map<Dtype, Long> elements = new EnumMap<>(Dtype.class);
        for (SafetensorsFile file : files) {
            file.tensors()
                    .values()
                    .forEach(tensor -> tensor.dtype()
                            .weights()
                            .ifPresent(dtype -> elements.merge(dtype, tensor.elements(), Long::sum)));
        }
        return elements.entrySet().stream()
                .max(Map.Entry.comparingByValue())
                .map(Map.Entry::getKey)
                .orElseThrow(() -> new InputException(path
                        + ": no tensor is F32, BF16 or F16\n  quantized models are not supported: give the original"));
    }

    /// A short hash of a part of every weight: equal for the same model, however it is cut into files, and another
    /// one for a model that was trained further.
    public String fingerprint() {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            byTensor.keySet().stream().sorted().forEach(name -> holder(name).sample(name, sha));
            return HexFormat.of().formatHex(sha.digest(), 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private SafetensorsFile holder(String name) {
        return Optional.ofNullable(byTensor.get(name))
                .orElseThrow(() -> new InputException(
                        path + ": tensor '" + Shown.text(name) + "' is missing\n  config and weights are from"
                                + " different models, or the download is not finished"));
    }

    @Override
    public void close() {
        files.forEach(SafetensorsFile::close);
    }
}
