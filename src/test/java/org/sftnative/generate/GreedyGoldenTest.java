package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.Parameters;
import org.sftnative.ops.AtenOps;
import org.sftnative.support.Shared;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Greedy continuations, token for token those of transformers' `generate`.
class GreedyGoldenTest {
    private static final Path BASE = Path.of("src/test/resources/golden/base");
    private static final Path REFERENCE = Path.of("src/test/resources/golden/generation/reference.json");

    /// Two tokens closer than this may change places with the order of an fp32 sum. The closest pair of the 64 prompts
    /// is 2.3e-4 apart.
    private static final double TIE = 1e-4;

    @Test
    void everyContinuationIsTransformers() {
        assertEquals(8, compare(BASE, BASE.resolve("generate.json")));
    }

    @Test
    void withARepetitionPenaltyAndALeastLengthToo() {
        assertTrue(compare(BASE, Path.of("src/test/resources/golden/generation/greedy.json")) >= 12);
    }

    @Test
    @Tag("reference")
    void everyContinuationOfThePretrainedModelIsTransformers() {
        assertEquals(64, compare(Shared.file("reference/base"), REFERENCE));
    }

    @Test
    void aTextEndsWhereTheModelsPositionsEnd() {
        with(BASE, model -> {
            int limit = model.config().maxPositionEmbeddings();
            int[] prompt = new int[limit - 3];
            Arrays.fill(prompt, 5);
            Answer answer = answers(model, 1, List.of(Request.greedy(prompt, 100, Set.of())))
                    .getFirst();
            assertEquals(3, answer.tokens().length);
            assertEquals(Answer.End.LENGTH, answer.end());
            InputException refused = assertThrows(
                    InputException.class,
                    () -> answers(model, 1, List.of(Request.greedy(new int[limit], 1, Set.of()))));
            assertTrue(refused.getMessage().contains(limit + " tokens, the model was made for " + limit));
        });
    }

    /// @return how many continuations were compared
    private static int compare(Path directory, Path golden) {
        JsonNode expected = new JsonMapper().readTree(golden.toFile());
        int[] compared = {0};
        with(directory, model -> {
            List<JsonNode> rows = expected.path("rows").values().stream()
                    .filter(row -> row.path("smallest_margin").asDouble() >= TIE)
                    .toList();
            int most = expected.path("max_new_tokens").asInt();
            Set<Integer> stops = Set.copyOf(model.config().eosTokenIds());
            List<Request> requests = rows.stream()
                    .map(row -> new Request(
                            ints(row.path("prompt_ids")),
                            new Sampling(
                                    0, 0, 1, expected.path("repetition_penalty").asDouble(1)),
                            expected.path("min_new_tokens").asInt(0),
                            most,
                            stops,
                            List.of(),
                            0))
                    .toList();
            for (int texts : new int[] {1, 5}) {
                List<Answer> answers = answers(model, texts, requests);
                for (int i = 0; i < rows.size(); i++) {
                    JsonNode row = rows.get(i);
                    assertArrayEquals(
                            ints(row.path("new_ids")),
                            answers.get(i).tokens(),
                            texts + " at a time, prompt " + row.path("prompt_ids"));
                }
            }
            compared[0] = rows.size();
        });
        return compared[0];
    }

    private static List<Answer> answers(LlamaDecoder model, int texts, List<Request> requests) {
        KvPlan plan = KvPlan.of(model, Long.MAX_VALUE, texts, model.config().maxPositionEmbeddings());
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            return Answers.of(generator, requests);
        }
    }

    private interface Use {
        void of(LlamaDecoder model);
    }

    private static void with(Path path, Use use) {
        try (ModelDirectory directory = ModelDirectory.open(path)) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            try (Parameters weights = LlamaFiles.load(directory, config, Dtype.F32, Devices.cpu());
                    LlamaDecoder decoder = new LlamaDecoder(config, weights, new AtenOps(), false)) {
                use.of(decoder);
            }
        }
    }

    private static int[] ints(JsonNode array) {
        return IntStream.range(0, array.size()).map(i -> array.get(i).asInt()).toArray();
    }
}
