package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.Parameters;
import org.sftnative.support.Shared;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Greedy continuations, token for token those of transformers' `generate`.
class GreedyGoldenTest {
    private static final Path BASE = Path.of("src/test/resources/golden/base");
    private static final Path REFERENCE = Path.of("src/test/resources/golden/reference/generate.json");

    /// Two tokens closer than this may change places with the order of an fp32 sum.
    private static final double TIE = 1e-3;

    @Test
    void everyContinuationIsTransformers() {
        assertEquals(8, compare(BASE, BASE.resolve("generate.json")));
    }

    @Test
    @Tag("reference")
    void everyContinuationOfThePretrainedModelIsTransformers() {
        assertEquals(30, compare(Shared.file("reference/base"), REFERENCE)); // 32, of which two are ties
    }

    @Test
    void aTextEndsWhereTheModelsPositionsEnd() {
        with(BASE, model -> {
            int limit = model.config().maxPositionEmbeddings();
            int[] prompt = new int[limit - 3];
            Arrays.fill(prompt, 5);
            Generator generator = new Generator(model, Set.of());
            assertEquals(3, generator.generate(prompt, 100, Sampling.GREEDY, token -> true).length);
            assertThrows(
                    InputException.class, () -> generator.generate(new int[limit], 1, Sampling.GREEDY, token -> true));
        });
    }

    /// @return how many continuations were compared
    private static int compare(Path directory, Path golden) {
        JsonNode expected = new JsonMapper().readTree(golden.toFile());
        int[] compared = {0};
        with(directory, model -> {
            Generator generator =
                    new Generator(model, new HashSet<>(model.config().eosTokenIds()));
            for (JsonNode row : expected.path("rows")) {
                if (row.path("smallest_margin").asDouble() < TIE) {
                    continue;
                }
                int[] tokens = generator.generate(
                        ints(row.path("prompt_ids")),
                        expected.path("max_new_tokens").asInt(),
                        Sampling.GREEDY,
                        token -> true);
                assertArrayEquals(ints(row.path("new_ids")), tokens, "prompt " + row.path("prompt_ids"));
                compared[0]++;
            }
        });
        return compared[0];
    }

    private interface Use {
        void of(Llama model);
    }

    private static void with(Path path, Use use) {
        try (ModelDirectory directory = ModelDirectory.open(path)) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            try (Parameters weights = LlamaFiles.load(directory, config, Dtype.F32, Devices.cpu())) {
                use.of(new Llama(config, weights, Llama.Options.PLAIN));
            }
        }
    }

    private static int[] ints(JsonNode array) {
        return IntStream.range(0, array.size()).map(i -> array.get(i).asInt()).toArray();
    }
}
