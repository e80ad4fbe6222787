package org.sftnative.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Saves a model directory that transformers 4 and 5 load without a warning: weights and index byte for byte as
/// `save_pretrained` writes them, `config.json` in both generations' spelling, tokenizer files copied.
public final class ModelWriter {
    /// The largest file that weights are written to, transformers 5.18's default: 50 GB.
    public static final long MAX_SHARD_BYTES = 50_000_000_000L;

    /// What is copied from the model that training started from, where it is there.
    public static final List<String> COPIED = List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "tokenizer.model",
            "vocab.json",
            "merges.txt",
            "chat_template.jinja",
            "generation_config.json");

    private static final String TEMPLATES = "additional_chat_templates";

    private static final Pattern SHARD = Pattern.compile("model-\\d{5}-of-\\d{5}\\.safetensors");

    private ModelWriter() {}

    /// Saves with transformers' default of the largest file.
    ///
    /// @see #save(Path, ObjectNode, Dtype, List, Optional, long)
    public static void save(
            Path directory, ObjectNode config, Dtype dtype, List<TensorSource> tensors, Optional<Path> source) {
        save(directory, config, dtype, tensors, source, MAX_SHARD_BYTES);
    }

    /// Saves a model into a directory, which is made if need be. Each file is there whole or not at all; an old
    /// model in the directory is replaced, and never read as a mixture: what would let a reader find half of each
    /// goes first.
    ///
    /// @param config the `config.json`; dtype and RoPE are written in both spellings
    /// @param dtype what most of `tensors` are written as
    /// @param tensors tied ones once, in the order of the model, by which they are spread over shards
    /// @param source directory of the tokenizer files; may be `directory` itself
    /// @param maxShardBytes a shard is closed before it has more bytes of tensors than this
    /// @throws InputException if the directory cannot be made, written to, or has no room
    /// @throws UncheckedIOException for whatever else the disk refuses
    public static void save(
            Path directory,
            ObjectNode config,
            Dtype dtype,
            List<TensorSource> tensors,
            Optional<Path> source,
            long maxShardBytes) {
        try {
            Disk.createDirectories(directory);
            checkRoom(directory, tensors);
            writeWeights(directory, tensors, maxShardBytes);
            for (String name : COPIED) {
                copy(source, name, directory);
            }
            copyAdditionalTemplates(source, directory);
            // last: a directory that has it has the rest
            AtomicFiles.writeText(
                    directory.resolve(ModelDirectory.CONFIG), JsonFiles.pretty(inBothSpellings(config, dtype)));
        } catch (FileAlreadyExistsException e) {
            throw new InputException(directory + " is a file\n  choose another directory", e);
        } catch (AccessDeniedException e) {
            throw new InputException(directory + " cannot be made: no permission\n  choose another directory", e);
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " cannot be written: " + e.getMessage(), e);
        }
    }

    private static void checkRoom(Path directory, List<TensorSource> tensors) throws IOException {
        long needed = tensors.stream().mapToLong(TensorSource::byteSize).sum();
        long free = Files.getFileStore(directory).getUsableSpace();
        if (free < needed) {
            throw new InputException(directory + ": the model needs " + needed + " bytes, the disk has " + free
                    + " free\n  make room, or choose another directory");
        }
    }

    private static void writeWeights(Path directory, List<TensorSource> tensors, long maxShardBytes)
            throws IOException {
        List<List<TensorSource>> shards = shards(tensors, maxShardBytes);
        Set<String> written = new HashSet<>();
        if (shards.size() == 1) {
            written.add(ModelDirectory.WEIGHTS);
            SafetensorsWriter.write(
                    directory.resolve(ModelDirectory.WEIGHTS), SafetensorsWriter.PYTORCH, shards.getFirst());
        } else {
            // an old index over new shards would be read as a mixture
            Disk.delete(directory.resolve(ModelDirectory.INDEX));
            written.add(ModelDirectory.INDEX);
            ObjectNode weightMap = JsonNodeFactory.instance.objectNode();
            for (int i = 0; i < shards.size(); i++) {
                String name = String.format("model-%05d-of-%05d.safetensors", i + 1, shards.size());
                written.add(name);
                SafetensorsWriter.write(directory.resolve(name), SafetensorsWriter.PYTORCH, shards.get(i));
                shards.get(i).forEach(tensor -> weightMap.put(tensor.name(), name));
            }
            ObjectNode index = JsonNodeFactory.instance.objectNode();
            index.putObject("metadata")
                    .put(
                            "total_parameters",
                            tensors.stream().mapToLong(TensorSource::elements).sum())
                    .put(
                            "total_size",
                            tensors.stream().mapToLong(TensorSource::byteSize).sum());
            index.set("weight_map", weightMap);
            AtomicFiles.writeText(directory.resolve(ModelDirectory.INDEX), JsonFiles.pretty(index));
        }
        deleteOld(directory, written);
    }

    /// Fills shards in the order of the tensors, as transformers does; one that is too large alone has a shard to
    /// itself, and does not end the shard that is being filled.
    private static List<List<TensorSource>> shards(List<TensorSource> tensors, long maxShardBytes) {
        List<List<TensorSource>> shards = new ArrayList<>();
        List<TensorSource> filling = new ArrayList<>();
        long filled = 0;
        for (TensorSource tensor : tensors) {
            if (tensor.byteSize() > maxShardBytes) {
                shards.add(List.of(tensor));
                continue;
            }
            if (filled + tensor.byteSize() > maxShardBytes) {
                shards.add(filling);
                filling = new ArrayList<>();
                filled = 0;
            }
            filling.add(tensor);
            filled += tensor.byteSize();
        }
        if (!filling.isEmpty() || shards.isEmpty()) {
            shards.add(filling);
        }
        return shards;
    }

    /// Deletes the weights of an earlier save: transformers reads a `model.safetensors` before it looks for an
    /// index.
    private static void deleteOld(Path directory, Set<String> written) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                boolean weights = name.equals(ModelDirectory.WEIGHTS)
                        || name.equals(ModelDirectory.INDEX)
                        || SHARD.matcher(name).matches();
                if (weights && !written.contains(name)) {
                    Disk.delete(file);
                }
            }
        }
        Disk.syncDirectory(directory);
    }

    /// Copies the tokenizer files, and chat templates, of a model beside an adapter.
    public static void copyTokenizer(Path source, Path directory) {
        try {
            for (String name : COPIED) {
                if (!name.equals("generation_config.json")) { // the model's own
                    copy(Optional.of(source), name, directory);
                }
            }
            copyAdditionalTemplates(Optional.of(source), directory);
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " could not be written: " + e.getMessage(), e);
        }
    }

    private static void copyAdditionalTemplates(Optional<Path> source, Path directory) throws IOException {
        Path from = source.map(folder -> folder.resolve(TEMPLATES)).orElse(directory);
        if (source.isEmpty() || !Files.isDirectory(from)) {
            return;
        }
        Path to = directory.resolve(TEMPLATES);
        Disk.createDirectories(to);
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".jinja")).toList()) {
                copy(Optional.of(from), file.getFileName().toString(), to);
            }
        }
    }

    private static void copy(Optional<Path> source, String name, Path directory) throws IOException {
        Optional<Path> from = source.flatMap(folder -> ModelDirectory.file(folder, name));
        Path to = directory.resolve(name);
        if (from.isPresent() && !(Files.exists(to) && Files.isSameFile(from.get(), to))) {
            AtomicFiles.copy(from.get(), to);
        }
    }

    /// Puts a chat template beside a saved model: the file that transformers reads before any other.
    public static void saveChatTemplate(Path directory, String template) {
        AtomicFiles.writeText(directory.resolve("chat_template.jinja"), template);
    }

    /// A copy of a config that names dtype and RoPE as transformers 5 does (`dtype`, `rope_parameters`) and as 4
    /// did (`torch_dtype`, `rope_theta`, `rope_scaling`). What the two say of RoPE is read as transformers 5.18
    /// reads it: `rope_scaling`, where it is not empty, replaces `rope_parameters`; a `rope_theta` within them
    /// wins.
    static ObjectNode inBothSpellings(ObjectNode config, Dtype dtype) {
        ObjectNode both = config.deepCopy();
        both.put("dtype", dtype.hfName()).put("torch_dtype", dtype.hfName());
        ObjectNode parameters = given(config, "rope_scaling")
                .or(() -> given(config, "rope_parameters"))
                .orElseGet(JsonNodeFactory.instance::objectNode);
        Optional<JsonNode> theta = number(parameters, "rope_theta").or(() -> number(config, "rope_theta"));
        boolean byLayer = parameters.properties().stream()
                .anyMatch(entry -> entry.getValue().isObject());
        if (byLayer || theta.isEmpty() && parameters.isEmpty()) {
            return both;
        }
        JsonNode oldType = parameters.remove("type");
        if (!parameters.has("rope_type")) {
            parameters.set("rope_type", oldType == null ? JsonNodeFactory.instance.stringNode("default") : oldType);
        }
        theta.ifPresent(value -> both.set("rope_theta", value));
        ObjectNode scaling = parameters.deepCopy();
        scaling.remove("rope_theta");
        boolean scaled = !scaling.get("rope_type").asString("").equals("default");
        both.set("rope_scaling", scaled ? scaling : JsonNodeFactory.instance.nullNode());
        theta.ifPresent(value -> parameters.set("rope_theta", value));
        both.set("rope_parameters", parameters);
        return both;
    }

    /// A copy of an object of the config, if it is there and not empty.
    private static Optional<ObjectNode> given(ObjectNode config, String name) {
        return config.get(name) instanceof ObjectNode object && !object.isEmpty()
                ? Optional.of(object.deepCopy())
                : Optional.empty();
    }

    private static Optional<JsonNode> number(ObjectNode object, String name) {
        return Optional.ofNullable(object.get(name)).filter(JsonNode::isNumber);
    }
}
