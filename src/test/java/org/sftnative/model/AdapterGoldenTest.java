package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.InputException;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.support.TensorAssert;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Adapters that PEFT made (`scripts/golden/peft_adapters.py`), over the tiny llama2 model of the architectures.
class AdapterGoldenTest {
    static final Path ROOT = Path.of("src/test/resources/golden/adapters");

    static Stream<String> names() throws IOException {
        try (Stream<Path> entries = Files.list(ROOT)) {
            return entries.filter(Files::isDirectory).map(p -> p.getFileName().toString()).sorted().toList().stream();
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void foldedWeightsAndLogitsArePefts(String name) {
        try (GoldenModel model = GoldenModel.load("llama2");
                SafetensorsFile golden = SafetensorsFile.open(ROOT.resolve(name).resolve("golden.safetensors"));
                Adapters adapters = AdapterFiles.load(ROOT.resolve(name), model.config(), Devices.cpu());
                PointerScope _ = new PointerScope()) {
            AdapterMerge.fold(adapters, model.config(), model.parameters());
            golden.tensors().keySet().stream()
                    .filter(key -> key.startsWith("merged."))
                    .forEach(key -> TensorAssert.assertClose(
                            key,
                            floats(golden, key),
                            Tensors.floats(model.parameters().weight(key.substring("merged.".length()))),
                            2e-6));
            long[] ids = golden.bytes("input_ids").toArray(ValueLayout.JAVA_LONG_UNALIGNED);
            TensorAssert.assertClose(
                    "logits", floats(golden, "logits"), logits(model.llama(false), ids), 2e-5); // measured 8e-6 of 4
        }
    }

    /// What is written has the names, shapes and bytes of what was read, and means the same.
    @ParameterizedTest
    @MethodSource("names")
    void whatWeWriteIsWhatPeftWrote(String name, @TempDir Path out) {
        try (GoldenModel model = GoldenModel.load("llama2");
                Adapters adapters = AdapterFiles.load(ROOT.resolve(name), model.config(), Devices.cpu())) {
            AdapterFiles.save(out, adapters.config(), LlamaFiles.sources(adapters.trained(), Dtype.F32), "arch/llama2");
            assertArrayEquals(
                    bytes(ROOT.resolve(name).resolve("adapter_model.safetensors")),
                    bytes(out.resolve("adapter_model.safetensors")));
            try (Adapters again = AdapterFiles.load(out, model.config(), Devices.cpu())) {
                assertEquals(adapters.specs(), again.specs());
                assertEquals(adapters.saved(), again.saved());
                assertEquals(adapters.config().dropout(), again.config().dropout());
            }
        }
    }

    @Test
    void adapterForAnotherBaseNamesBothShapes() {
        try (GoldenModel other = GoldenModel.load("mistral")) {
            InputException e = assertThrows(
                    InputException.class, () -> AdapterFiles.config(ROOT.resolve("all-linear"), other.config()));
            assertTrue(
                    e.getMessage().contains("has shape [") && e.getMessage().contains("must have ["), e.getMessage());
            assertTrue(e.getMessage().contains("another base model"), e.getMessage());
        }
    }

    /// Each field that cannot be honoured is refused by its name.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "peft_type|\"LOHA\"",
                "task_type|\"SEQ_CLS\"",
                "bias|\"all\"",
                "bias|\"lora_only\"",
                "fan_in_fan_out|true",
                "lora_bias|true",
                "init_lora_weights|\"pissa\"",
                "init_lora_weights|\"olora\"",
                "init_lora_weights|\"pissa_niter_4\"",
                "loftq_config|{\"loftq_bits\": 4}",
                "target_parameters|[\"mlp.experts\"]",
                "trainable_token_indices|[1, 2]",
                "layer_replication|[[0, 2], [1, 2]]",
                "alora_invocation_tokens|[5]",
                "use_qalora|true",
                "use_bdlora|{\"x\": 1}",
                "arrow_config|{\"x\": 1}",
                "monteclora_config|{\"x\": 1}",
                "kasa_config|{\"x\": 1}",
                "velora_config|{\"x\": 1}",
                "megatron_config|{\"x\": 1}",
                "corda_config|{\"x\": 1}",
                "lora_ga_config|{\"x\": 1}",
                "a_field_of_tomorrow|7",
                "r|0",
                "r|4.5",
                "r|null",
                "r|99999999999999999999",
                "lora_alpha|\"8\"",
                "lora_alpha|-1",
                "lora_dropout|1",
                "use_dora|\"yes\"",
                "target_modules|[]",
                "target_modules|[1]",
                "target_modules|{}",
                "modules_to_save|7",
                "modules_to_save|[\"nothing\"]",
                "layers_to_transform|[-1]",
                "layers_to_transform|\"0\"",
                "layers_to_transform|[17]",
                "rank_pattern|{\"q_proj\": 0}",
                "rank_pattern|[1]",
                "alpha_pattern|{\"q_proj\": \"x\"}",
            })
    void fieldThatCannotBeHonouredIsRefusedByName(String field, String value, @TempDir Path folder) throws IOException {
        copy("plain", folder, field, value);
        try (GoldenModel model = GoldenModel.load("llama2")) {
            InputException e = assertThrows(InputException.class, () -> AdapterFiles.config(folder, model.config()));
            String named = field.equals("layers_to_transform") && value.equals("[17]") ? "target_modules" : field;
            assertTrue(e.getMessage().contains(named), e.getMessage());
            assertTrue(e.getMessage().contains("adapter_config.json"), e.getMessage());
            assertTrue(e.getMessage().contains("\n  "), e.getMessage());
        }
    }

    /// What is switched off, and what says only where the adapter comes from, is no obstacle.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "a_field_of_tomorrow|null",
                "a_field_of_tomorrow|false",
                "a_field_of_tomorrow|{}",
                "peft_version|\"9.9\"",
                "auto_mapping|{\"base_model_class\": \"LlamaForCausalLM\"}",
                "init_lora_weights|\"gaussian\"",
                "init_lora_weights|false",
                "inference_mode|false",
                "revision|\"main\"",
                "task_type|null",
                "target_modules|null", // PEFT's own default for llama: q_proj, v_proj
            })
    void fieldWithoutEffectIsAccepted(String field, String value, @TempDir Path folder) throws IOException {
        copy("plain", folder, field, value);
        try (GoldenModel model = GoldenModel.load("llama2")) {
            assertEquals(
                    AdapterFiles.config(ROOT.resolve("plain"), model.config()).specs(model.config()),
                    AdapterFiles.config(folder, model.config()).specs(model.config()));
        }
    }

    @Test
    void unexpectedTensorsAreNamed(@TempDir Path folder) throws IOException {
        copy("plain", folder, "target_modules", "[\"q_proj\"]");
        String message = refusal(folder);
        assertTrue(
                message.contains("'base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight'")
                        && message.contains("and 1 more are there that adapter_config.json does not ask for"),
                message);
    }

    @Test
    void missingTensorsAreNamed(@TempDir Path folder) throws IOException {
        copy("plain", folder, "target_modules", "[\"q_proj\", \"v_proj\", \"k_proj\"]");
        String message = refusal(folder);
        assertTrue(
                message.contains("'base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight'")
                        && message.contains("and 1 more are missing that adapter_config.json asks for"),
                message);
    }

    @Test
    void tornFileIsRefused(@TempDir Path folder) throws IOException {
        copy("plain", folder, "r", "4");
        byte[] bytes = bytes(folder.resolve("adapter_model.safetensors"));
        Files.write(folder.resolve("adapter_model.safetensors"), Arrays.copyOf(bytes, bytes.length - 1));
        assertTrue(refusal(folder).contains("adapter_model.safetensors"));
    }

    @Test
    void pickleIsNeverRead(@TempDir Path folder) throws IOException {
        copy("plain", folder, "r", "4");
        Files.move(folder.resolve("adapter_model.safetensors"), folder.resolve("adapter_model.bin"));
        assertTrue(refusal(folder).contains("safe_serialization"));
    }

    @Test
    void modelIsNoAdapter() {
        assertTrue(refusal(Path.of("src/test/resources/golden/arch/llama2")).contains("it is a whole model"));
        assertTrue(refusal(Path.of("no/such")).contains("does not exist"));
        assertTrue(refusal(Path.of("src/test")).contains("it has no adapter_config.json"));
    }

    private static String refusal(Path folder) {
        try (GoldenModel model = GoldenModel.load("llama2")) {
            return assertThrows(
                            InputException.class,
                            () -> AdapterFiles.load(folder, model.config(), Devices.cpu())
                                    .close())
                    .getMessage();
        }
    }

    /// A golden adapter with one field changed.
    private static void copy(String name, Path to, String field, String value) throws IOException {
        JsonMapper mapper = new JsonMapper();
        ObjectNode json = (ObjectNode) mapper.readTree(
                ROOT.resolve(name).resolve("adapter_config.json").toFile());
        json.set(field, mapper.readTree(value));
        Files.writeString(to.resolve("adapter_config.json"), json.toString());
        Files.copy(ROOT.resolve(name).resolve("adapter_model.safetensors"), to.resolve("adapter_model.safetensors"));
    }

    private static float[] logits(Llama llama, long[] ids) {
        int[] targets = new int[ids.length];
        Arrays.fill(targets, -100);
        PackedBatch batch = PackedBatch.of(
                Arrays.stream(ids).mapToInt(id -> (int) id).toArray(),
                targets,
                new int[] {0, ids.length},
                Devices.cpu());
        long[] rows = new long[ids.length];
        Arrays.setAll(rows, i -> i);
        return Tensors.floats(llama.logits(batch, Tensors.ofLongs(rows, Devices.cpu())));
    }

    private static float[] floats(SafetensorsFile file, String name) {
        return file.bytes(name).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
