package org.sftnative.train;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.LongUnaryOperator;
import org.sftnative.InputException;
import org.sftnative.config.ExportSettings;
import org.sftnative.config.ExportType;
import org.sftnative.data.ChatFormat;
import org.sftnative.data.Tokenizer;
import org.sftnative.io.GgufBlocks;
import org.sftnative.io.GgufFile;
import org.sftnative.io.GgufTensor;
import org.sftnative.io.GgufTokenizer;
import org.sftnative.io.GgufType;
import org.sftnative.io.GgufValue;
import org.sftnative.io.GgufWriter;
import org.sftnative.io.HubName;
import org.sftnative.io.ModelDirectory;
import org.sftnative.metrics.Units;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.RopeScaling;
import org.sftnative.tensor.Dtype;

/// A model directory as one GGUF file: weights, tokenizer, chat template, tokens that end a text.
/// Source: the GGUF specification, and the names and layouts that llama.cpp reads (`llama`,
/// `qwen2`).
public final class GgufExport {
    private static final String ROPE_FACTORS = "rope_freqs.weight";

    /// Names of a block's modules.
    private static final Map<String, String> MODULES = Map.of(
            "self_attn.q_proj", "attn_q",
            "self_attn.k_proj", "attn_k",
            "self_attn.v_proj", "attn_v",
            "self_attn.o_proj", "attn_output",
            "mlp.gate_proj", "ffn_gate",
            "mlp.up_proj", "ffn_up",
            "mlp.down_proj", "ffn_down",
            "input_layernorm", "attn_norm",
            "post_attention_layernorm", "ffn_norm");

    private final ModelDirectory directory;
    private final LlamaConfig config;
    private final GgufType type;
    private final String architecture;
    private final Set<String> notes = new LinkedHashSet<>();

    private GgufExport(ModelDirectory directory, LlamaConfig config, GgufType type) {
        this.directory = directory;
        this.config = config;
        this.type = type;
        // mistral is llama in llama.cpp
        architecture = config.modelType().equals("qwen2") ? "qwen2" : "llama";
    }

    /// Writes the file, and reads it back.
    ///
    /// @return what was written, in lines
    /// @throws InputException if the directory is no model, or GGUF cannot express it
    public static String run(ExportSettings settings) {
        Path model = settings.modelNameOrPath();
        Path file = settings.outputFile();
        if (Files.exists(file) && !(settings.overwriteOutputFile() && Files.isRegularFile(file))) {
            throw new InputException(file + " exists\n  choose another --output-file"
                    + (Files.isRegularFile(file) ? ", or replace it with --overwrite-output-file" : ""));
        }
        Path folder = file.toAbsolutePath().getParent();
        if (!Files.isDirectory(folder)) {
            throw new InputException(folder + " is no directory\n  --output-file names a file in one that is there");
        }
        if (Files.exists(model.resolve("adapter_config.json")) && !Files.exists(model.resolve("config.json"))) {
            throw new InputException(model + " holds a LoRA adapter, not a model\n  fold it in first:"
                    + " sft-native merge --model BASE --adapter " + model + " --output-dir merged");
        }
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            LlamaFiles.check(directory, config);
            return new GgufExport(directory, config, type(settings.type())).write(file, Tokenizer.load(model));
        }
    }

    private static GgufType type(ExportType type) {
        return switch (type) {
            case F32 -> GgufType.F32;
            case F16 -> GgufType.F16;
            case BF16 -> GgufType.BF16;
            case Q8_0 -> GgufType.Q8_0;
        };
    }

    private String write(Path file, Tokenizer tokenizer) {
        SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
        describe(metadata);
        metadata.putAll(GgufTokenizer.keys(directory.path(), config.vocabSize()));
        describe(tokenizer, metadata);
        List<GgufTensor> tensors = new ArrayList<>();
        ropeFactors().ifPresent(tensors::add);
        ParameterLayout.of(config).slots().keySet().forEach(name -> tensors.add(tensor(name)));
        long bytes = tensors.stream().mapToLong(t -> t.info().byteSize()).sum();
        checkRoom(file, bytes);
        verify(file, metadata, tensors, GgufWriter.write(file, metadata, tensors));
        StringBuilder said = new StringBuilder(file + ": " + architecture + ", "
                + type.name().toLowerCase(Locale.ROOT) + ", " + tensors.size() + " tensors, "
                + Units.bytes(bytes) + ", read back and compared");
        notes.forEach(note -> said.append("\n  ").append(note));
        return said.toString();
    }

    private static void checkRoom(Path file, long bytes) {
        try {
            long free = Files.getFileStore(file.toAbsolutePath().getParent()).getUsableSpace();
            if (free < bytes) {
                throw new InputException(file + " needs " + bytes + " bytes, the disk has " + free
                        + " free\n  make room, or choose another --output-file");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void verify(
            Path file, SequencedMap<String, GgufValue> metadata, List<GgufTensor> tensors, long checksum) {
        SequencedMap<String, GgufTensor.Info> expected = new LinkedHashMap<>();
        tensors.forEach(tensor -> expected.put(tensor.name(), tensor.info()));
        try (GgufFile written = GgufFile.open(file)) {
            if (!written.metadata().equals(metadata)
                    || !List.copyOf(written.tensors().entrySet()).equals(List.copyOf(expected.entrySet()))
                    || written.checksum() != checksum) {
                throw new IllegalStateException(file + " does not read back as it was written: its disk fails");
            }
        }
    }

    private void describe(SequencedMap<String, GgufValue> metadata) {
        Path path = directory.path().toAbsolutePath().normalize();
        metadata.put("general.architecture", GgufValue.of(architecture));
        metadata.put("general.type", GgufValue.of("model"));
        metadata.put(
                "general.name",
                GgufValue.of(HubName.ofSnapshot(path)
                        .map(HubName::model)
                        .orElse(path.getFileName().toString())));
        metadata.put("general.alignment", GgufValue.of(GgufWriter.ALIGNMENT));
        metadata.put(
                "general.file_type",
                GgufValue.of(
                        switch (type) {
                            case F32 -> 0L;
                            case F16 -> 1L;
                            case Q8_0 -> 7L;
                            case BF16 -> 32L;
                        }));
        metadata.put("general.quantization_version", GgufValue.of(2L));
        String prefix = architecture + ".";
        metadata.put(prefix + "vocab_size", GgufValue.of(config.vocabSize()));
        metadata.put(prefix + "context_length", GgufValue.of(config.maxPositionEmbeddings()));
        metadata.put(prefix + "embedding_length", GgufValue.of(config.hiddenSize()));
        metadata.put(prefix + "block_count", GgufValue.of(config.nLayer()));
        metadata.put(prefix + "feed_forward_length", GgufValue.of(config.intermediateSize()));
        metadata.put(prefix + "attention.head_count", GgufValue.of(config.nHead()));
        metadata.put(prefix + "attention.head_count_kv", GgufValue.of(config.nKvHead()));
        metadata.put(prefix + "attention.key_length", GgufValue.of(config.headDim()));
        metadata.put(prefix + "attention.value_length", GgufValue.of(config.headDim()));
        metadata.put(prefix + "attention.layer_norm_rms_epsilon", GgufValue.of((float) config.rmsNormEps()));
        metadata.put(prefix + "rope.dimension_count", GgufValue.of(config.headDim()));
        metadata.put(
                prefix + "rope.freq_base", GgufValue.of((float) config.rope().theta()));
        switch (config.rope().scaling()) {
            case RopeScaling.Linear linear -> {
                metadata.put(prefix + "rope.scaling.type", GgufValue.of("linear"));
                metadata.put(prefix + "rope.scaling.factor", GgufValue.of((float) linear.factor()));
            }
            case RopeScaling.Dynamic _ ->
                throw new InputException(directory.path() + ": rope_type 'dynamic' has no form in GGUF"
                        + "\n  set rope_scaling to null in config.json: that is the same up to "
                        + config.maxPositionEmbeddings() + " tokens");
            case RopeScaling.Default _, RopeScaling.Llama3 _ -> {
                // nothing to say; Llama 3's factors are a tensor
            }
        }
    }

    private void describe(Tokenizer tokenizer, SequencedMap<String, GgufValue> metadata) {
        put(metadata, "bos", tokenizer.bosId());
        put(metadata, "eos", tokenizer.eosId());
        put(metadata, "padding", tokenizer.padId());
        int[] unknown = tokenizer.encodePlain(tokenizer.specialTokens().getOrDefault("unk_token", ""));
        if (unknown.length == 1) { // else there is none; what tokenizer.json says itself is there already
            put(metadata, "unknown", OptionalInt.of(unknown[0]));
        }
        Set<Integer> ends = new LinkedHashSet<>(
                ChatFormat.of(tokenizer, Optional.empty()).turnEnd().tokens());
        ends.addAll(config.eosTokenIds());
        tokenizer.eosId().ifPresent(ends::remove);
        ends.stream().findFirst().ifPresent(id -> put(metadata, "eot", OptionalInt.of(id)));
        if (ends.size() > 1) {
            notes.add("of the tokens that end a text, the file names eos and the first other, not all " + ends);
        }
        int[] framed = tokenizer.encode("a");
        boolean first =
                tokenizer.bosId().isPresent() && framed[0] == tokenizer.bosId().getAsInt();
        boolean last = tokenizer.eosId().isPresent()
                && framed[framed.length - 1] == tokenizer.eosId().getAsInt();
        metadata.put("tokenizer.ggml.add_bos_token", GgufValue.of(first));
        metadata.put("tokenizer.ggml.add_eos_token", GgufValue.of(last));
        Map<String, String> templates = tokenizer.chatTemplates();
        List<String> others = new ArrayList<>();
        templates.keySet().stream().sorted().forEach(name -> {
            if (name.equals("default")) {
                metadata.put("tokenizer.chat_template", GgufValue.of(templates.get(name)));
            } else {
                metadata.put("tokenizer.chat_template." + name, GgufValue.of(templates.get(name)));
                others.add(name);
            }
        });
        if (!others.isEmpty()) {
            metadata.put("tokenizer.chat_templates", GgufValue.texts(others));
        }
    }

    private static void put(SequencedMap<String, GgufValue> metadata, String what, OptionalInt id) {
        id.ifPresent(value -> metadata.put("tokenizer.ggml." + what + "_token_id", GgufValue.of((long) value)));
    }

    /// What Llama 3 divides each frequency by, D / 2 values.
    private Optional<GgufTensor> ropeFactors() {
        if (!(config.rope().scaling() instanceof RopeScaling.Llama3 scaling)) {
            return Optional.empty();
        }
        int half = config.headDim() / 2;
        MemorySegment factors = MemorySegment.ofArray(new float[half]);
        for (int i = 0; i < half; i++) {
            double length = 2 * Math.PI * Math.pow(config.rope().theta(), 2.0 * i / config.headDim());
            double longest = scaling.originalMaxPositionEmbeddings() / scaling.lowFreqFactor();
            double shortest = scaling.originalMaxPositionEmbeddings() / scaling.highFreqFactor();
            double s = (scaling.originalMaxPositionEmbeddings() / length - scaling.lowFreqFactor())
                    / (scaling.highFreqFactor() - scaling.lowFreqFactor());
            double factor =
                    length > longest ? scaling.factor() : length < shortest ? 1 : 1 / ((1 - s) / scaling.factor() + s);
            factors.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) factor);
        }
        return Optional.of(new GgufTensor(
                ROPE_FACTORS,
                GgufType.F32,
                List.of((long) half),
                sink -> GgufBlocks.write(
                        ROPE_FACTORS, factors, Dtype.F32, 1, half, LongUnaryOperator.identity(), GgufType.F32, sink)));
    }

    private GgufTensor tensor(String name) {
        List<Long> shape = directory.info(name).shape();
        boolean matrix = shape.size() > 1;
        int columns = matrix ? Math.toIntExact(shape.getLast()) : 1;
        GgufType as = matrix ? type : GgufType.F32;
        if (matrix && columns % as.block() != 0) {
            as = GgufType.F16;
            notes.add("matrices with rows of " + columns + ", which is no multiple of " + type.block() + ", are f16");
        }
        GgufType written = as;
        LongUnaryOperator order = order(name);
        return new GgufTensor(gguf(name), written, shape, sink -> {
            Dtype stored = directory.info(name).dtype().weights().orElseThrow();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment weights = arena.allocate(directory.info(name).elements() * stored.bytes(), 64);
                directory.read(name, stored, weights);
                GgufBlocks.write(name, weights, stored, shape.getFirst(), columns, order, written, sink);
            }
        });
    }

    /// llama.cpp turns neighbours of a head where transformers turns halves: for `llama`, row 2 j +
    /// k of a head of q and k is here what was row k D / 2 + j.
    private LongUnaryOperator order(String name) {
        boolean turned = name.contains(".self_attn.q_proj.") || name.contains(".self_attn.k_proj.");
        if (!turned || !architecture.equals("llama")) {
            return LongUnaryOperator.identity();
        }
        int head = config.headDim();
        return row -> row - row % head + row % 2 * (head / 2) + row % head / 2;
    }

    private static String gguf(String name) {
        if (name.equals("model.embed_tokens.weight")) {
            return "token_embd.weight";
        }
        if (name.equals("model.norm.weight")) {
            return "output_norm.weight";
        }
        if (name.equals("lm_head.weight")) {
            return "output.weight";
        }
        String[] parts = name.split("\\.", 4); // model, layers, N, the rest
        int end = parts[3].lastIndexOf('.');
        String module = Optional.ofNullable(MODULES.get(parts[3].substring(0, end)))
                .orElseThrow(() -> new IllegalStateException(name));
        return "blk." + parts[2] + "." + module + parts[3].substring(end);
    }
}
