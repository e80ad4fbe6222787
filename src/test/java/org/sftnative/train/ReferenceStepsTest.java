package org.sftnative.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.support.Shared;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;

/// Twenty optimizer steps of a pretrained model on real rows against the reference program, `hf_sft.py`, whose numbers
/// `scripts/golden/reference_steps.py` wrote down.
@Tag("reference")
class ReferenceStepsTest {
    private static final Path STEPS = Path.of("src/test/resources/golden/reference");

    @TempDir
    Path temp;

    static Stream<Arguments> runs() throws IOException {
        try (Stream<Path> files = Files.list(STEPS)) {
            List<String> names = files.map(p -> p.getFileName().toString())
                    .filter(n -> n.matches("\\d+x\\d+-.*\\.json")) // batch x accumulation; the rest are other tests'
                    .sorted()
                    .toList();
            return names.stream()
                    .flatMap(name -> Stream.of("fused", "reference")
                            .filter(engine -> engine.equals("reference") || !name.contains("autocast"))
                            .map(engine -> Arguments.of(name, engine)));
        }
    }

    @ParameterizedTest
    @MethodSource("runs")
    void everyStepEqualsTheReferenceProgram(String name, String engine) throws IOException {
        StepParity parity = StepParity.read(STEPS.resolve(name));
        boolean autocast = name.contains("autocast");
        parity.assertEqualSteps(
                name + ", " + engine,
                settings(parity.settings(), engine),
                autocast ? 1e-2 : 1e-4,
                autocast ? 1e-2 : 1e-4);
        Assertions.assertTrue(Files.exists(temp.resolve("out/model.safetensors")));
    }

    private Map<String, String> settings(JsonNode flags, String engine) throws IOException {
        Map<String, String> settings = new HashMap<>();
        settings.put("model_name_or_path", Shared.file("reference/base").toString());
        settings.put("train_file", rows(flags.path("rows").asInt()).toString());
        settings.put("output_dir", temp.resolve("out").toString());
        settings.put("per_device_train_batch_size", flags.path("batch").asString());
        settings.put("gradient_accumulation_steps", flags.path("accum").asString());
        settings.put("max_steps", flags.path("max-steps").asString());
        settings.put("learning_rate", flags.path("lr").asString());
        settings.put("lr_scheduler_type", flags.path("schedule").asString());
        settings.put("warmup_steps", flags.path("warmup-steps").asString());
        settings.put("weight_decay", flags.path("weight-decay").asString());
        settings.put("precision", flags.path("precision").asString());
        boolean full = flags.path("loss").asString().equals("full");
        settings.put("train_on_prompt", String.valueOf(full));
        settings.put("append_eos", String.valueOf(!full));
        settings.put("shuffle", "false");
        settings.put("logging_steps", "1");
        settings.put("save_strategy", "no");
        settings.put("engine", engine);
        return settings;
    }

    /// The first n rows; all for 0.
    private Path rows(int n) throws IOException {
        Path all = Shared.file("data/alpaca_en_demo.json");
        if (n == 0) {
            return all;
        }
        ArrayNode rows = (ArrayNode) new JsonMapper().readTree(all.toFile());
        Path first = temp.resolve("rows.jsonl");
        Files.write(first, rows.valueStream().limit(n).map(JsonNode::toString).toList());
        return first;
    }
}
