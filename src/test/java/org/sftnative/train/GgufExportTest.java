package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.config.ExportFormat;
import org.sftnative.config.ExportSettings;
import org.sftnative.config.ExportType;
import org.sftnative.io.GgufFile;
import org.sftnative.io.GgufTokenizer;
import org.sftnative.io.GgufType;
import org.sftnative.io.GgufValue;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.LlamaConfig;
import org.sftnative.support.Shared;
import org.sftnative.tensor.Dtype;

/// Models as GGUF files: every weight in its place, and a tokenizer that means the same.
class GgufExportTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden");
    private static final String BYTE_LEVEL =
            "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": %s}";

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"llama2", "llama3", "mistral", "qwen2", "biases", "rope-linear", "tied"})
    void everyWeightIsInItsPlace(String architecture) throws IOException {
        Path model = architecture(architecture);
        for (ExportType type : ExportType.values()) {
            Path file = export(model, type);
            try (GgufFile gguf = GgufFile.open(file);
                    ModelDirectory original = ModelDirectory.open(model)) {
                compare(gguf, original, type);
            }
        }
    }

    private void compare(GgufFile gguf, ModelDirectory original, ExportType type) {
        LlamaConfig config = LlamaConfig.of(original.config());
        int compared = 0;
        for (String name : original.tensorNames()) {
            float[] expected = original(original, name);
            String in = name.replace("model.embed_tokens", "token_embd")
                    .replace("model.norm", "output_norm")
                    .replace("lm_head", "output")
                    .replace("model.layers", "blk")
                    .replace("self_attn.o_proj", "attn_output")
                    .replaceAll("self_attn\\.(.)_proj", "attn_$1")
                    .replaceAll("mlp\\.(\\w+)_proj", "ffn_$1")
                    .replace("input_layernorm", "attn_norm")
                    .replace("post_attention_layernorm", "ffn_norm");
            GgufType stored = gguf.tensors().get(in).type();
            boolean matrix = original.info(name).shape().size() > 1;
            boolean blocks = original.info(name).shape().getLast() % 32 == 0;
            String wanted = type == ExportType.Q8_0 && !blocks ? "F16" : type.name();
            assertEquals(matrix ? wanted : "F32", stored.name(), in);
            float[] actual = values(gguf, in);
            boolean turned =
                    name.matches(".*[qk]_proj.*") && !config.modelType().equals("qwen2");
            int columns = matrix ? original.info(name).shape().getLast().intValue() : 1;
            for (int i = 0; i < expected.length; i++) {
                int row = i / columns;
                int half = config.headDim() / 2;
                int head = row / config.headDim() * config.headDim();
                int inHead = row % config.headDim();
                // rotated together: j and j + D/2 there, 2 j and 2 j + 1 here
                int place = turned ? head + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1) : row;
                float got = actual[place * columns + i % columns];
                assertEquals(expected[i], got, tolerance(stored, expected[i], expected), () -> in);
            }
            compared++;
        }
        assertEquals(
                compared + (gguf.tensors().containsKey("rope_freqs.weight") ? 1 : 0),
                gguf.tensors().size());
    }

    private static double tolerance(GgufType type, float value, float[] all) {
        return switch (type) {
            case F32 -> 0;
            case F16 -> Math.abs(value) / 2048 + 3e-8;
            case BF16 -> Math.abs(value) / 256;
            case Q8_0 -> {
                float largest = 0;
                for (float v : all) {
                    largest = Math.max(largest, Math.abs(v));
                }
                yield largest / 127 * 0.57; // half a step, and the scale's own rounding to fp16
            }
        };
    }

    private static float[] original(ModelDirectory model, String name) {
        float[] values = new float[(int) model.info(name).elements()];
        model.read(name, Dtype.F32, MemorySegment.ofArray(values));
        return values;
    }

    private static float[] values(GgufFile gguf, String name) {
        ByteBuffer bytes = gguf.bytes(name);
        int count = gguf.tensors().get(name).shape().stream()
                .mapToInt(Long::intValue)
                .reduce(1, (a, b) -> a * b);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = switch (gguf.tensors().get(name).type()) {
                case F32 -> bytes.getFloat(4 * i);
                case F16 -> Float.float16ToFloat(bytes.getShort(2 * i));
                case BF16 -> Float.intBitsToFloat(bytes.getShort(2 * i) << 16);
                case Q8_0 -> Float.float16ToFloat(bytes.getShort(i / 32 * 34)) * bytes.get(i / 32 * 34 + 2 + i % 32);
            };
        }
        return values;
    }

    @Test
    void ropeScalingIsSaidAsLlamaCppReadsIt() throws IOException {
        try (GgufFile gguf = GgufFile.open(export(architecture("llama3"), ExportType.F32));
                ModelDirectory model = ModelDirectory.open(GOLDEN.resolve("arch/llama3"))) {
            LlamaConfig config = LlamaConfig.of(model.config());
            float[] factors = values(gguf, "rope_freqs.weight");
            float[] scaled = config.rope().inverseFrequencies(1);
            for (int i = 0; i < factors.length; i++) {
                double plain = Math.pow(config.rope().theta(), -2.0 * i / config.headDim());
                assertEquals(scaled[i], plain / factors[i], 1e-6 * scaled[i]);
            }
            assertTrue(factors[0] == 1 && factors[factors.length - 1] == 8, "both ends of the ramp are in the test");
        }
        Map<String, GgufValue> linear = metadata(architecture("rope-linear"));
        assertEquals(GgufValue.of("linear"), linear.get("llama.rope.scaling.type"));
        assertEquals(GgufValue.of(4f), linear.get("llama.rope.scaling.factor"));
        Path dynamic = architecture("rope-dynamic");
        assertTrue(assertThrows(InputException.class, () -> export(dynamic, ExportType.F32))
                .getMessage()
                .contains("'dynamic' has no form in GGUF"));
    }

    @Test
    void shapeTokenizerTemplateAndStopTokensAreInTheFile() throws IOException {
        Map<String, GgufValue> keys = metadata(GOLDEN.resolve("base"));
        assertEquals(GgufValue.of("llama"), keys.get("general.architecture"));
        assertEquals(GgufValue.of(96L), keys.get("llama.embedding_length"));
        assertEquals(GgufValue.of(3L), keys.get("llama.block_count"));
        assertEquals(GgufValue.of(2048L), keys.get("llama.vocab_size"));
        assertEquals(GgufValue.of("gpt2"), keys.get("tokenizer.ggml.model"));
        assertEquals(GgufValue.of("gpt-2"), keys.get("tokenizer.ggml.pre"));
        assertEquals(GgufValue.of(1L), keys.get("tokenizer.ggml.bos_token_id"));
        assertEquals(GgufValue.of(2L), keys.get("tokenizer.ggml.eos_token_id"));
        assertEquals(GgufValue.of(true), keys.get("tokenizer.ggml.add_bos_token"));
        assertEquals(GgufValue.of(false), keys.get("tokenizer.ggml.add_eos_token"));
        GgufValue.Items types = (GgufValue.Items) keys.get("tokenizer.ggml.token_type");
        assertEquals(new GgufValue.Whole(GgufValue.Kind.I32, 3), types.values().get(2)); // </s> is a control token
        assertEquals(new GgufValue.Whole(GgufValue.Kind.I32, 1), types.values().get(300));
    }

    @Test
    void aTemplateAndTheTokenThatEndsItsTurnsAreInTheFile() throws IOException {
        Path model = architecture("llama2");
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
        Map<String, GgufValue> keys = metadata(model);
        assertTrue(keys.get("tokenizer.chat_template").toString().contains("im_start"));
        assertEquals(GgufValue.of(4L), keys.get("tokenizer.ggml.eot_token_id"));
    }

    @Test
    void tokensBeyondTheTokenizersAreFilled() throws IOException {
        GgufValue.Items tokens =
                (GgufValue.Items) metadata(architecture("llama2")).get("tokenizer.ggml.tokens");
        assertEquals(128, tokens.values().size());
        assertEquals(GgufValue.of("[PAD127]"), tokens.values().getLast());
    }

    @ParameterizedTest
    @CsvSource({
        "bytelevel, gpt-2",
        "qwen, qwen2",
    })
    void preTokenizersAreKnownByTheirDefinition(String tokenizer, String name) {
        assertEquals(
                GgufValue.of(name),
                GgufTokenizer.keys(GOLDEN.resolve("tokenizers").resolve(tokenizer), 512)
                        .get("tokenizer.ggml.pre"));
    }

    @Test
    void llama3AndSmolLmAreKnown() throws IOException {
        String llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        String split = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \""
                + llama3.replace("\\", "\\\\") + "\"}, \"behavior\": \"Isolated\", \"invert\": false}, "
                + BYTE_LEVEL.formatted("false") + "]}";
        assertEquals("llama-bpe", pre(split, true));
        assertEquals("smaug-bpe", pre(split, false)); // the same expression, merges not ignored
        String digits =
                "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, "
                        + BYTE_LEVEL.formatted("true") + "]}";
        assertEquals("smollm", pre(digits, false));
        refused("a pre-tokenizer that llama.cpp has no name for", () -> pre(split.replace("{1,3}", "{1,2}"), false));
        refused("with ignore_merges", () -> pre(BYTE_LEVEL.formatted("true"), true));
        refused("add_prefix_space", () -> pre(BYTE_LEVEL.formatted("true").replace("false", "true"), false));
        refused("does not end with ByteLevel", () -> pre("{\"type\": \"Whitespace\"}", false));
    }

    private String pre(String preTokenizer, boolean ignoresMerges) throws IOException {
        Path folder = Files.createDirectories(directory.resolve("pre"));
        Files.writeString(
                folder.resolve("tokenizer.json"),
                "{\"pre_tokenizer\": " + preTokenizer + ", \"model\": {\"type\": \"BPE\", \"ignore_merges\": "
                        + ignoresMerges + ", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}}");
        return ((GgufValue.Text) GgufTokenizer.keys(folder, 3).get("tokenizer.ggml.pre")).value();
    }

    @Test
    void tokenizersThatGgufCannotExpressAreNamed() throws IOException {
        Path folder = Files.createDirectories(directory.resolve("other"));
        for (String[] other : new String[][] {
            {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0.0]]}}", "a tokenizer of type Unigram"},
            {"{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}}", "a tokenizer of type WordPiece"},
            {
                "{\"normalizer\": {\"type\": \"Lowercase\"}, \"pre_tokenizer\": " + BYTE_LEVEL.formatted("true")
                        + ", \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}",
                "Lowercase"
            },
            {
                "{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}}}",
                "end_of_word_suffix"
            }
        }) {
            Files.writeString(folder.resolve("tokenizer.json"), other[0]);
            refused(other[1], () -> GgufTokenizer.keys(folder, 10));
        }
        // BPE with byte fallback whose merges are not those that SentencePiece would do
        refused("that are no merge", () -> GgufTokenizer.keys(GOLDEN.resolve("tokenizers/metaspace"), 512));
    }

    private static void refused(String part, org.junit.jupiter.api.function.Executable run) {
        InputException e = assertThrows(InputException.class, run);
        assertTrue(
                e.getMessage().contains("GGUF cannot express") && e.getMessage().contains(part), e::getMessage);
    }

    @Test
    void sentencePieceScoresOrderTokensAsMergesDo() throws IOException {
        Path folder = sentencePiece(List.of("a b", "ab c", "a bc"), true);
        refused(
                "before and after",
                () -> GgufTokenizer.keys(sentencePiece(List.of("ab c", "a b", "b c", "a bc"), true), 512));
        refused("that are no merge", () -> GgufTokenizer.keys(sentencePiece(List.of("a b", "b c", "ab c"), true), 512));
        refused("<0x41>", () -> GgufTokenizer.keys(sentencePiece(List.of("a b"), false), 512));
        Path good = sentencePiece(List.of("b c", "a b", "ab c", "a bc"), true);
        Map<String, GgufValue> keys = GgufTokenizer.keys(good, 300);
        assertEquals(GgufValue.of("llama"), keys.get("tokenizer.ggml.model"));
        assertEquals(GgufValue.of(true), keys.get("tokenizer.ggml.add_space_prefix"));
        List<String> texts = ((GgufValue.Items) keys.get("tokenizer.ggml.tokens"))
                .values().stream().map(v -> ((GgufValue.Text) v).value()).toList();
        List<GgufValue> scores = ((GgufValue.Items) keys.get("tokenizer.ggml.scores")).values();
        double bc = ((GgufValue.Real) scores.get(texts.indexOf("bc"))).value();
        double ab = ((GgufValue.Real) scores.get(texts.indexOf("ab"))).value();
        double abc = ((GgufValue.Real) scores.get(texts.indexOf("abc"))).value();
        assertTrue(bc > ab && ab > abc, bc + " " + ab + " " + abc);
        List<GgufValue> types = ((GgufValue.Items) keys.get("tokenizer.ggml.token_type")).values();
        assertEquals(new GgufValue.Whole(GgufValue.Kind.I32, 6), types.get(texts.indexOf("<0x41>")));
        assertEquals(new GgufValue.Whole(GgufValue.Kind.I32, 2), types.get(texts.indexOf("<unk>")));
        assertFalse(folder.toString().isEmpty());
    }

    private Path sentencePiece(List<String> merges, boolean whole) throws IOException {
        List<String> tokens = new ArrayList<>(List.of("<unk>"));
        IntStream.range(0, 256).filter(b -> whole || b != 0x41).forEach(b -> tokens.add(String.format("<0x%02X>", b)));
        tokens.addAll(List.of("a", "b", "c"));
        merges.stream().map(m -> m.replace(" ", "")).distinct().forEach(tokens::add);
        String vocabulary = IntStream.range(0, tokens.size())
                .mapToObj(i -> "\"" + tokens.get(i) + "\": " + i)
                .collect(Collectors.joining(","));
        Path folder = Files.createTempDirectory(directory, "spm");
        Files.writeString(
                folder.resolve("tokenizer.json"),
                "{\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\u2581\", \"prepend_scheme\":"
                        + " \"always\", \"split\": false}, \"model\": {\"type\": \"BPE\", \"byte_fallback\": true,"
                        + " \"unk_token\": \"<unk>\", \"vocab\": {" + vocabulary + "}, \"merges\": ["
                        + merges.stream().map(m -> "\"" + m + "\"").collect(Collectors.joining(",")) + "]}}");
        return folder;
    }

    @Test
    void whatCannotBeExportedIsSaid() throws IOException {
        Path model = architecture("llama2");
        Path there = Files.writeString(directory.resolve("there.gguf"), "x");
        InputException exists =
                assertThrows(InputException.class, () -> GgufExport.run(settings(model, ExportType.F32, there, false)));
        assertTrue(exists.getMessage().contains("--overwrite-output-file"), exists::getMessage);
        assertEquals("x", Files.readString(there));
        GgufExport.run(settings(model, ExportType.F32, there, true));
        InputException name = assertThrows(
                InputException.class, () -> settings(model, ExportType.F32, model.resolve("model.safetensors"), true));
        assertTrue(name.getMessage().contains(".gguf"), name::getMessage);
        Path adapter = Files.createDirectories(directory.resolve("adapter"));
        Files.writeString(adapter.resolve("adapter_config.json"), "{}");
        InputException merge = assertThrows(InputException.class, () -> export(adapter, ExportType.F32));
        assertTrue(merge.getMessage().contains("sft-native merge"), merge::getMessage);
    }

    /// The gguf package reads every key and every tensor bit for bit; Q8_0 is what its own
    /// quantiser makes.
    @Test
    @Tag("clients")
    void thePythonPackageReadsWhatIsWritten() throws Exception {
        List<String> arguments = new ArrayList<>();
        for (String architecture : List.of("llama2", "llama3", "mistral", "qwen2", "biases", "rope-linear", "tied")) {
            Path model = architecture(architecture);
            for (ExportType type : ExportType.values()) {
                arguments.addAll(List.of(model.toString(), export(model, type).toString()));
            }
        }
        arguments.addAll(List.of(
                GOLDEN.resolve("base").toString(),
                export(GOLDEN.resolve("base"), ExportType.Q8_0).toString()));
        assertEquals("29 files are equal", python("src/test/resources/clients/read_gguf.py", arguments));
    }

    static String python(String script, List<String> arguments) throws Exception {
        List<String> command = new ArrayList<>(
                List.of(Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3"), script));
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertTrue(process.waitFor(5, TimeUnit.MINUTES));
        assertEquals(0, process.exitValue(), output);
        return output.strip().lines().toList().getLast();
    }

    /// Llama 2's own tokenizer: scores in the order of its merges.
    @Test
    @Tag("reference")
    void llama2sTokenizerIsExpressed() {
        Map<String, GgufValue> keys = GgufTokenizer.keys(Shared.file("reference/llama2-tokenizer"), 32000);
        assertEquals(GgufValue.of("llama"), keys.get("tokenizer.ggml.model"));
        List<GgufValue> scores = ((GgufValue.Items) keys.get("tokenizer.ggml.scores")).values();
        double before = 1;
        for (int id = 259; id < 32000; id++) { // SentencePiece's own scores fall with the id, too
            double score = ((GgufValue.Real) scores.get(id)).value();
            assertTrue(score <= before, "token " + id);
            before = score;
        }
    }

    private static ExportSettings settings(Path model, ExportType type, Path file, boolean overwrite) {
        return new ExportSettings(model, ExportFormat.GGUF, type, file, overwrite);
    }

    private Path export(Path model, ExportType type) {
        Path file = directory.resolve(model.getFileName() + "-" + type + ".gguf");
        GgufExport.run(settings(model, type, file, true));
        return file;
    }

    private Map<String, GgufValue> metadata(Path model) {
        try (GgufFile file = GgufFile.open(export(model, ExportType.F32))) {
            return new LinkedHashMap<>(file.metadata());
        }
    }

    /// A small architecture with a tokenizer of its size.
    private Path architecture(String name) throws IOException {
        Path model = Files.createDirectories(directory.resolve(name));
        try (Stream<Path> files = Files.list(GOLDEN.resolve("arch").resolve(name))) {
            for (Path file : files.filter(f -> !f.getFileName().toString().startsWith("golden"))
                    .toList()) {
                Files.copy(
                        file,
                        model.resolve(file.getFileName().toString()),
                        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
            }
        }
        List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"));
        String added = IntStream.range(0, 5)
                .mapToObj(i -> "{\"id\": " + i + ", \"content\": \"" + tokens.get(i)
                        + "\", \"special\": true, \"single_word\": false, \"lstrip\": false, \"rstrip\": false,"
                        + " \"normalized\": false}")
                .collect(Collectors.joining(","));
        for (char c = 'a'; c <= 'z'; c++) {
            tokens.add(Character.toString(c));
        }
        tokens.addAll(List.of("\u0120", "th", "the"));
        String vocabulary = IntStream.range(0, tokens.size())
                .mapToObj(i -> "\"" + tokens.get(i) + "\": " + i)
                .collect(Collectors.joining(","));
        Files.writeString(
                model.resolve("tokenizer.json"),
                "{\"version\": \"1.0\", \"added_tokens\": [" + added + "], \"normalizer\": null, \"pre_tokenizer\": "
                        + BYTE_LEVEL.formatted("true") + ", \"post_processor\": null, \"decoder\": "
                        + BYTE_LEVEL.formatted("true") + ", \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\","
                        + " \"vocab\": {" + vocabulary + "}, \"merges\": [\"t h\", \"th e\"]}}");
        Files.writeString(model.resolve("tokenizer_config.json"), "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
        return model;
    }
}
