package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;

/// Directories that transformers saved (`scripts/golden/model_directory_golden.py`), sound and spoilt.
class ModelDirectoryTest {
    private static final String NORM = "model.norm.weight";

    @TempDir
    Path folder;

    /// A copy of the sharded model: five shards and an index.
    private Path model;

    @BeforeEach
    void copyTheShardedModel() throws IOException {
        model = copyOf(golden("sharded"), folder.resolve("model"));
    }

    @Test
    void shardsHoldWhatTheSingleFileHolds() {
        try (ModelDirectory sharded = ModelDirectory.open(model);
                ModelDirectory single = ModelDirectory.open(golden("single"))) {
            assertEquals(12, single.tensorNames().size());
            assertEquals(single.tensorNames(), sharded.tensorNames());
            assertEquals(Dtype.BF16, sharded.storedDtype());
            assertEquals(16, sharded.config().get("hidden_size").intValue());
            assertEquals(
                    2,
                    sharded.generationConfig().orElseThrow().get("eos_token_id").intValue());
            assertEquals(Optional.of(model.resolve("config.json")), sharded.file("config.json"));
            assertEquals(Optional.empty(), sharded.file("tokenizer.json"));
            for (String name : single.tensorNames()) {
                assertEquals(single.info(name).shape(), sharded.info(name).shape());
                MemorySegment one =
                        MemorySegment.ofArray(new byte[(int) single.info(name).elements() * 4]);
                MemorySegment other = MemorySegment.ofArray(new byte[(int) one.byteSize()]);
                single.read(name, Dtype.F32, one);
                sharded.read(name, Dtype.F32, other);
                assertEquals(-1, one.mismatch(other), name);
            }
        }
    }

    @Test
    void aModelIsTheSameHoweverItIsCutAndAnotherWithOtherNumbers() throws IOException {
        String single;
        try (ModelDirectory directory = ModelDirectory.open(golden("single"))) {
            single = directory.fingerprint();
        }
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            assertEquals(single, directory.fingerprint());
        }
        Path shard = model.resolve("model-00001-of-00005.safetensors");
        byte[] bytes = Files.readAllBytes(shard);
        bytes[bytes.length - 1] ^= 1;
        Files.write(shard, bytes);
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            assertNotEquals(single, directory.fingerprint());
        }
    }

    @Test
    void theCallerCannotChangeTheConfig() {
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            directory.config().put("hidden_size", 1);
            assertEquals(16, directory.config().get("hidden_size").intValue());
        }
    }

    @Test
    void theSingleFileWinsOverAnIndexAsInTransformers() throws IOException {
        Files.copy(golden("single").resolve("model.safetensors"), model.resolve("model.safetensors"));
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            assertEquals(model.resolve("model.safetensors"), directory.fileOf(NORM));
        }
    }

    @Test
    void missingTensorIsNamed() {
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            var refused = assertThrows(InputException.class, () -> directory.info("model.layers.9.mlp"));
            assertTrue(refused.getMessage().contains(model + ": tensor 'model.layers.9.mlp' is missing"));
        }
    }

    @Test
    void whatIsNoModelDirectoryIsRefused() throws IOException {
        refused(folder.resolve("none"), "does not exist", "config.json");
        refused(model.resolve("config.json"), "is not a directory");
        Path empty = Files.createDirectory(folder.resolve("empty"));
        refused(empty, "has no config.json");
        Files.writeString(empty.resolve("adapter_config.json"), "{}");
        refused(empty, "has no config.json", "a LoRA adapter: give the directory of its base model");
    }

    @Test
    void configThatIsNotJsonIsRefusedWithItsLine() throws IOException {
        for (String[] wrong : new String[][] {
            {"", "is empty"},
            {"[]", "holds array, must hold a JSON object"},
            {"{\n\"a\": 1,\n\"b\": }", "config.json, line 3: not JSON"},
            {"{\n\"a\": 1,\n", "config.json, line 3: not JSON"},
            {"{\n\"a\": 1,\n\"a\": 2}", "config.json, line 3: not JSON: Duplicate"},
            {"{\"a\": NaN}", "config.json, line 1: not JSON"},
            {"{\"a\": 1,}", "config.json, line 1: not JSON"},
            {"{}\n{}", "config.json, line 2: not JSON"},
            {"{// c\n}", "config.json, line 1: not JSON"},
            {"\ufeff{}", "line 1: not JSON: starts with a byte order mark"},
            {"{\"a\":".repeat(100_000), "config.json, line 1: not JSON"},
            {"{}", "'model_type' is missing", "llama, mistral, qwen2"},
            {"{\"model_type\": 1}", "'model_type' is no string", "llama, mistral, qwen2"},
            {"{\"model_type\": \"gpt2\"}", "model_type 'gpt2' is not supported", "llama, mistral, qwen2"},
            {"{\"model_type\": \"qwen3\"}", "model_type 'qwen3' is not supported"},
            {"{\"model_type\": \"Llama\"}", "model_type 'Llama' is not supported"},
        }) {
            Files.writeString(model.resolve("config.json"), wrong[0]);
            refused(model, List.of(wrong).subList(1, wrong.length).toArray(String[]::new));
        }
        Files.write(model.resolve("config.json"), new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'});
        refused(model, "config.json: is not UTF-8");
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "mistral", "qwen2"})
    void everySupportedTypeIsOpened(String type) throws IOException {
        Files.writeString(model.resolve("config.json"), "{\"model_type\": \"" + type + "\"}");
        ModelDirectory.open(model).close();
    }

    @Test
    void directoryWithoutSafetensorsIsRefused() throws IOException {
        Path bare = Files.createDirectory(folder.resolve("bare"));
        Files.copy(model.resolve("config.json"), bare.resolve("config.json"));
        refused(bare, "has neither model.safetensors nor model.safetensors.index.json", "no weights");
        Files.writeString(bare.resolve("pytorch_model-00001-of-00002.bin"), "never opened");
        refused(
                bare,
                "only pickle files, such as pytorch_model-00001-of-00002.bin",
                "save_pretrained writes safetensors");
        Files.delete(model.resolve("model.safetensors.index.json"));
        refused(model, "5 other safetensors files, such as model-00001-of-00005", "shards need their index");
    }

    static Stream<Map.Entry<String, String>> strayNames() {
        return Map.of(
                "parent", "../model-00001-of-00005.safetensors",
                "parentInTheMiddle", "a/../../x.safetensors",
                "subdirectory", "a/x.safetensors",
                "absolute", "/etc/x.safetensors",
                "backslash", "..\\\\x.safetensors",
                "drive", "C:x.safetensors",
                "unc", "\\\\\\\\host\\\\share\\\\x.safetensors",
                "nul", "x\\u0000.safetensors",
                "hidden", ".safetensors",
                "blank", "")
                .entrySet()
                .stream();
    }

    @ParameterizedTest
    @MethodSource("strayNames")
    void indexThatLeadsOutOfTheDirectoryIsRefusedBeforeAnythingIsOpened(Map.Entry<String, String> stray)
            throws IOException {
        // every shard is spoilt: had one been opened, that would be the message
        for (int i = 1; i <= 5; i++) {
            Files.writeString(model.resolve("model-0000" + i + "-of-00005.safetensors"), "");
        }
        editIndex("\"" + NORM + "\": \"[^\"]*\"", "\"" + NORM + "\": \"" + stray.getValue() + "\"");
        refused(model, "weight_map of '" + NORM + "' is '", "must be the bare name of a file");
    }

    @Test
    void indexThatNamesAPickleIsRefused() throws IOException {
        editIndex("\"" + NORM + "\": \"[^\"]*\"", "\"" + NORM + "\": \"pytorch_model.bin\"");
        refused(model, "weight_map of '" + NORM + "' is 'pytorch_model.bin', must be a safetensors file");
    }

    @Test
    void spoiltIndexIsRefused() throws IOException {
        Path index = model.resolve("model.safetensors.index.json");
        for (String[] wrong : new String[][] {
            {"{}", "'weight_map' is missing, empty or no object"},
            {"{\"weight_map\": {}}", "'weight_map' is missing, empty"},
            {"{\"weight_map\": []}", "or no object"},
            {"{\"weight_map\": {\"w\": 1}}", "weight_map of 'w' is no string"},
            {"{\"weight_map\": {\"w\": \"a.safetensors\", \"w\": \"b.safetensors\"}}", "line 1: not JSON: Duplicate"},
            {"{\"weight_map\": {\"w\": \"a.safetensors\"}}", "names the shard a.safetensors, which is missing"},
        }) {
            Files.writeString(index, wrong[0]);
            refused(model, index.toString(), wrong[1]);
        }
    }

    @Test
    void indexAndShardsThatDisagreeAreRefused() throws IOException {
        String index = Files.readString(model.resolve("model.safetensors.index.json"));
        editIndex("\"" + NORM + "\": \"[^\"]*\"", "\"" + NORM + "\": \"model-00001-of-00005.safetensors\"");
        refused(
                model,
                "says that tensor '" + NORM + "' is in model-00001-of-00005.safetensors",
                "model-00005-of-00005");
        Files.writeString(model.resolve("model.safetensors.index.json"), index);
        editIndex("\"" + NORM + "\"", "\"model.extra\"");
        refused(model, "says that tensor 'model.extra' is in model-00005-of-00005.safetensors, it is in no shard");
        Files.writeString(model.resolve("model.safetensors.index.json"), index);
        editIndex(",\\s*\"" + NORM + "\": \"[^\"]*\"", "");
        refused(model, "does not name tensor '" + NORM + "', which is in model-00005-of-00005.safetensors");
    }

    @Test
    void tensorInTwoShardsIsRefused() throws IOException {
        Path last = model.resolve("model-00005-of-00005.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(golden("single").resolve("model.safetensors"))) {
            SafetensorsWriter.write(
                    last,
                    SafetensorsWriter.PYTORCH,
                    file.tensors().values().stream()
                            .filter(t -> t.name().contains("norm") || t.name().equals("lm_head.weight"))
                            .map(t -> TensorSource.of(t.name(), t.dtype(), t.shape(), file.bytes(t.name())))
                            .toList());
        }
        refused(model, "tensor 'lm_head.weight' is in model-00004-of-00005.safetensors and in model-00005-of-00005");
    }

    @Test
    void truncatedOrMissingShardIsRefusedByName() throws IOException {
        Path shard = model.resolve("model-00003-of-00005.safetensors");
        byte[] bytes = Files.readAllBytes(shard);
        Files.write(shard, Arrays.copyOf(bytes, bytes.length - 1));
        refused(model, shard + ": tensor '", "the file is cut short");
        Files.delete(shard);
        refused(model, "names the shard model-00003-of-00005.safetensors, which is missing");
    }

    @Test
    void linksOutOfTheDirectoryAreRefused() throws IOException {
        for (String name : List.of("config.json", "model-00002-of-00005.safetensors", "model.safetensors.index.json")) {
            Path outside = Files.move(model.resolve(name), folder.resolve("outside-" + name));
            Files.createSymbolicLink(model.resolve(name), outside);
            refused(model, model.resolve(name) + " is a link out of the model directory, to ");
            Files.delete(model.resolve(name));
            Files.createSymbolicLink(model.resolve(name), Path.of("..", "gone"));
            refused(model, model.resolve(name) + " is a link to a file that is not there");
            Files.delete(model.resolve(name));
            Files.move(outside, model.resolve(name));
        }
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            Files.createSymbolicLink(model.resolve("tokenizer.json"), Files.writeString(folder.resolve("secret"), ""));
            assertThrows(InputException.class, () -> directory.file("tokenizer.json"));
        }
    }

    @Test
    void linksWithinTheDirectoryAndAHubCacheEntryAreFollowed() throws IOException {
        Files.move(model.resolve("config.json"), model.resolve("real.json"));
        Files.createSymbolicLink(model.resolve("config.json"), Path.of("real.json"));
        ModelDirectory.open(model).close();

        Path entry = hubEntry("models--org--name");
        ModelDirectory.open(entry.resolve("snapshots/0123abcd")).close();
        Path link = Files.createSymbolicLink(folder.resolve("link"), entry.resolve("snapshots/0123abcd"));
        ModelDirectory.open(link).close();
    }

    @Test
    void linkIntoAnotherHubCacheEntryIsRefused() throws IOException {
        Path entry = hubEntry("models--org--name");
        Path other = hubEntry("models--org--other");
        Path config = entry.resolve("snapshots/0123abcd/config.json");
        Files.delete(config);
        Files.createSymbolicLink(config, other.resolve("blobs/config.json"));
        refused(entry.resolve("snapshots/0123abcd"), config + " is a link out of the model directory");
        // and the layout alone, without the name of an entry, opens nothing
        Path plain = hubEntry("org-name");
        refused(plain.resolve("snapshots/0123abcd"), "is a link out of the model directory");
    }

    @Test
    void closingAfterAFailureLeavesNoFileOpen() throws IOException {
        Files.delete(model.resolve("model-00005-of-00005.safetensors"));
        long before = openFiles();
        for (int i = 0; i < 50; i++) {
            assertThrows(InputException.class, () -> ModelDirectory.open(model));
        }
        assertTrue(openFiles() < before + 50, "every failure leaves a shard open");
    }

    private static long openFiles() throws IOException {
        try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
            return all.count();
        }
    }

    /// A cache entry whose one snapshot is links into its blobs.
    private Path hubEntry(String name) throws IOException {
        Path entry = folder.resolve(name);
        Path snapshot = Files.createDirectories(entry.resolve("snapshots/0123abcd"));
        copyOf(golden("single"), entry.resolve("blobs"));
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.createSymbolicLink(snapshot.resolve(file), Path.of("..", "..", "blobs", file));
        }
        return entry;
    }

    private void editIndex(String pattern, String replacement) throws IOException {
        Path index = model.resolve("model.safetensors.index.json");
        String before = Files.readString(index);
        String after = before.replaceFirst(pattern, Matcher.quoteReplacement(replacement));
        assertFalse(after.equals(before), pattern);
        Files.writeString(index, after);
    }

    private static void refused(Path directory, String... said) {
        var refused = assertThrows(
                InputException.class, () -> ModelDirectory.open(directory).close());
        for (String part : said) {
            assertTrue(refused.getMessage().contains(part), () -> "'" + part + "' not in: " + refused.getMessage());
        }
        assertTrue(refused.getMessage().contains(directory.toString()), refused.getMessage());
        assertTrue(refused.getMessage().length() < 1000, refused.getMessage());
    }

    static Path golden(String name) {
        try {
            return Path.of(ModelDirectoryTest.class
                    .getResource("/golden/model-directory/" + name)
                    .toURI());
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }

    static Path copyOf(Path from, Path to) throws IOException {
        Files.createDirectories(to);
        try (Stream<Path> files = Files.list(from)) {
            files.forEach(file -> {
                try {
                    Files.copy(file, to.resolve(file.getFileName()));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
        return to;
    }
}
