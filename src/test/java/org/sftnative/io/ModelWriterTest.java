package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.node.ObjectNode;

/// Saved directories against those that transformers saved (`scripts/golden/model_directory_golden.py`). That
/// transformers loads them without a warning is checked by `scripts/golden/check_loads.py`.
class ModelWriterTest {
    @TempDir
    Path folder;

    private final Path sharded = ModelDirectoryTest.golden("sharded");
    private final Path single = ModelDirectoryTest.golden("single");

    @Test
    void weightsAndIndexAreTheBytesOfTransformers() throws IOException {
        Path many = folder.resolve("many");
        Path one = folder.resolve("a/deep/one");
        try (ModelDirectory model = ModelDirectory.open(single)) {
            ModelWriter.save(many, model.config(), Dtype.BF16, tensors(model), Optional.of(single), 2000);
            ModelWriter.save(one, model.config(), Dtype.BF16, tensors(model), Optional.of(single));
        }
        assertEquals(names(sharded), names(many));
        assertEquals(names(single), names(one));
        for (String name : names(sharded)) {
            if (!name.equals("config.json")) {
                assertArrayEquals(
                        Files.readAllBytes(sharded.resolve(name)), Files.readAllBytes(many.resolve(name)), name);
            }
        }
        assertArrayEquals(
                Files.readAllBytes(single.resolve("model.safetensors")),
                Files.readAllBytes(one.resolve("model.safetensors")));
        ModelDirectory.open(many).close();
    }

    @Test
    void configKeepsEveryFieldAndAddsTheOldSpelling() {
        ObjectNode before = JsonFiles.readObject(single.resolve("config.json"));
        ObjectNode after = ModelWriter.inBothSpellings(before, Dtype.F32);
        before.properties().forEach(field -> {
            if (!field.getKey().equals("dtype")) {
                assertEquals(field.getValue(), after.get(field.getKey()), field.getKey());
            }
        });
        assertEquals("float32", after.get("dtype").stringValue());
        assertEquals("float32", after.get("torch_dtype").stringValue());
        assertEquals(500000.0, after.get("rope_theta").doubleValue());
        ObjectNode scaling = (ObjectNode) after.get("rope_parameters").deepCopy();
        scaling.remove("rope_theta");
        assertEquals(scaling, after.get("rope_scaling"));
        assertEquals("llama3", scaling.get("rope_type").stringValue());
        assertEquals(before.get("dtype").stringValue(), "bfloat16", "the given config is not changed");
    }

    @Test
    void ropeOfEitherSpellingIsWrittenInBoth() throws IOException {
        both(
                "{'rope_theta':1e6,'rope_scaling':{'type':'linear','factor':2.0}}",
                "{'rope_theta':1e6,'rope_scaling':{'factor':2.0,'rope_type':'linear'},"
                        + "'rope_parameters':{'factor':2.0,'rope_type':'linear','rope_theta':1e6}}");
        both(
                "{'rope_theta':1e6,'rope_scaling':null}",
                "{'rope_theta':1e6,'rope_scaling':null,'rope_parameters':{'rope_type':'default','rope_theta':1e6}}");
        both(
                "{'rope_parameters':{'rope_type':'default','rope_theta':7.0}}",
                "{'rope_theta':7.0,'rope_scaling':null,'rope_parameters':{'rope_type':'default','rope_theta':7.0}}");
        // as transformers 5.18 reads them: rope_scaling replaces, the theta within wins
        both(
                "{'rope_theta':1.0,'rope_parameters':{'rope_theta':2.0,'rope_type':'default'},"
                        + "'rope_scaling':{'rope_type':'dynamic','factor':4.0,'rope_theta':3.0}}",
                "{'rope_theta':3.0,'rope_scaling':{'rope_type':'dynamic','factor':4.0},"
                        + "'rope_parameters':{'rope_type':'dynamic','factor':4.0,'rope_theta':3.0}}");
        both("{}", "{}");
        both(
                "{'rope_parameters':{'full':{'rope_type':'default'}}}",
                "{'rope_parameters':{'full':{'rope_type':'default'}}}");
    }

    @Test
    void savingOverAnOldModelLeavesNothingOfIt() throws IOException {
        Path directory = ModelDirectoryTest.copyOf(sharded, folder.resolve("model"));
        Files.writeString(directory.resolve("notes.txt"), "the user's");
        try (ModelDirectory model = ModelDirectory.open(single)) {
            ModelWriter.save(directory, model.config(), Dtype.BF16, tensors(model), Optional.empty());
            assertEquals(
                    List.of("config.json", "generation_config.json", "model.safetensors", "notes.txt"),
                    names(directory));
            ModelWriter.save(directory, model.config(), Dtype.BF16, tensors(model), Optional.empty(), 4500);
        }
        assertFalse(Files.exists(directory.resolve("model.safetensors")), "it would win over the new index");
        assertTrue(names(directory).contains("model-00002-of-00002.safetensors"), names(directory)::toString);
        ModelDirectory.open(directory).close();
    }

    @Test
    void aModelIsSavedOverItsOwnSourceDirectory() throws IOException {
        Path directory = ModelDirectoryTest.copyOf(single, folder.resolve("model"));
        Files.writeString(directory.resolve("tokenizer.json"), "{}");
        try (ModelDirectory model = ModelDirectory.open(directory)) {
            ModelWriter.save(directory, model.config(), Dtype.BF16, tensors(model), Optional.of(directory));
        }
        assertEquals("{}", Files.readString(directory.resolve("tokenizer.json")));
        assertArrayEquals(
                Files.readAllBytes(single.resolve("model.safetensors")),
                Files.readAllBytes(directory.resolve("model.safetensors")));
    }

    @Test
    void tokenizerFilesAreCopiedAndOthersAreNot() throws IOException {
        Path source = Files.createDirectory(folder.resolve("source"));
        List<String> copied = List.of(
                "tokenizer.json",
                "tokenizer_config.json",
                "special_tokens_map.json",
                "chat_template.jinja",
                "generation_config.json");
        for (String name : copied) {
            Files.writeString(source.resolve(name), "content of " + name);
        }
        Files.writeString(source.resolve("optimizer.pt"), "not ours");
        Path target = folder.resolve("target");
        try (ModelDirectory model = ModelDirectory.open(single)) {
            ModelWriter.save(target, model.config(), Dtype.BF16, tensors(model), Optional.of(source));
        }
        TreeSet<String> expected = new TreeSet<>(copied);
        expected.addAll(List.of("config.json", "model.safetensors"));
        assertEquals(List.copyOf(expected), names(target));
        for (String name : copied) {
            assertEquals("content of " + name, Files.readString(target.resolve(name)));
        }
    }

    @Test
    void aFailureWhileShardsAreWrittenLeavesNoReadableMixture() throws IOException {
        Path directory = ModelDirectoryTest.copyOf(sharded, folder.resolve("model"));
        try (ModelDirectory model = ModelDirectory.open(single)) {
            List<TensorSource> tensors = new ArrayList<>(tensors(model));
            TensorSource last = tensors.removeLast();
            tensors.add(new TensorSource(last.name(), last.dtype(), last.shape(), sink -> {
                throw new IOException("no space left on device");
            }));
            var failed = assertThrows(
                    UncheckedIOException.class,
                    () -> ModelWriter.save(directory, model.config(), Dtype.BF16, tensors, Optional.empty(), 2000));
            assertTrue(failed.getMessage().endsWith(".safetensors cannot be written: no space left on device"));
        }
        assertThrows(InputException.class, () -> ModelDirectory.open(directory).close());
        assertTrue(names(directory).stream().noneMatch(name -> name.contains("tmp")), names(directory)::toString);
    }

    @Test
    void fileInThePlaceOfTheDirectoryIsRefused() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        try (ModelDirectory model = ModelDirectory.open(single)) {
            var refused = assertThrows(
                    InputException.class,
                    () -> ModelWriter.save(file, model.config(), Dtype.BF16, tensors(model), Optional.empty()));
            assertEquals(file + " is a file\n  choose another directory", refused.getMessage());
        }
    }

    @Test
    void modelThatTheDiskHasNoRoomForIsRefusedBeforeItIsWritten() throws IOException {
        Path directory = folder.resolve("large");
        var large = new TensorSource("w", StoredDtype.U8, List.of(1L << 59), sink -> {});
        ObjectNode config = JsonFiles.readObject(single.resolve("config.json"));
        var refused = assertThrows(
                InputException.class,
                () -> ModelWriter.save(directory, config, Dtype.BF16, List.of(large), Optional.empty()));
        assertTrue(refused.getMessage().contains("needs 576460752303423488 bytes"), refused.getMessage());
        assertEquals(List.of(), names(directory));
    }

    /// The tensors in the order of the model, as transformers had them when it filled shards.
    private static List<TensorSource> tensors(ModelDirectory model) {
        return StreamSupport.stream(
                        JsonFiles.readObject(ModelDirectoryTest.golden("state_dict.json"))
                                .get("names")
                                .spliterator(),
                        false)
                .map(name -> model.info(name.stringValue()))
                .map(info -> TensorSource.of(
                        info.name(), info.dtype(), info.shape(), MemorySegment.ofArray(bytes(model, info))))
                .toList();
    }

    private static byte[] bytes(ModelDirectory model, TensorInfo info) {
        byte[] bytes = new byte[(int) info.byteSize()];
        model.read(info.name(), Dtype.BF16, MemorySegment.ofArray(bytes));
        return bytes;
    }

    private void both(String given, String expected) throws IOException {
        ObjectNode config = object(given);
        ObjectNode wanted = object(expected);
        wanted.put("dtype", "float16").put("torch_dtype", "float16");
        assertEquals(wanted, ModelWriter.inBothSpellings(config, Dtype.F16));
    }

    private ObjectNode object(String json) throws IOException {
        Path file = folder.resolve("object.json");
        Files.writeString(file, json.replace('\'', '"'));
        return JsonFiles.readObject(file);
    }

    private static List<String> names(Path directory) {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
