package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Draws follow the distribution that temperature and top-p make of the logits.
class SamplingTest {
    /// Probabilities 0.5, 0.3, 0.15, 0.05 at temperature 1, in another order.
    private static final float[] LOGITS = {
        (float) Math.log(0.15), (float) Math.log(0.5), (float) Math.log(0.05), (float) Math.log(0.3)
    };

    private static final int DRAWS = 40_000;

    @Test
    void whatIsLeftToDrawFromIsWhatTransformersLeaves() {
        JsonNode golden = new JsonMapper()
                .readTree(Path.of("src/test/resources/golden/generation/processors.json")
                        .toFile());
        assertTrue(golden.path("cases").size() >= 7);
        for (JsonNode c : golden.path("cases")) {
            Sampling sampling = new Sampling(
                    c.path("temperature").asDouble(),
                    c.path("top_k").asInt(),
                    c.path("top_p").asDouble(),
                    c.path("repetition_penalty").asDouble());
            double[] weights = sampling.weights(
                    floats(c.path("logits")), c.path("text").values().stream().mapToInt(JsonNode::asInt));
            double total = Arrays.stream(weights).sum();
            for (int i = 0; i < weights.length; i++) {
                double expected = c.path("probabilities").get(i).asDouble();
                assertEquals(expected == 0, weights[i] == 0, sampling + ", token " + i);
                assertEquals(expected, weights[i] / total, 2e-6, sampling + ", token " + i); // fp32 there
            }
        }
    }

    private static float[] floats(JsonNode array) {
        float[] values = new float[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).floatValue();
        }
        return values;
    }

    @Test
    void temperatureZeroTakesTheFirstOfTheLikeliest() {
        assertEquals(1, choose(Sampling.GREEDY, LOGITS, 0));
        assertEquals(0, choose(Sampling.GREEDY, new float[] {2, 2, 1}, 5));
    }

    @Test
    void atTemperatureOneTokensComeAsOftenAsTheirProbability() {
        assertShares(new Sampling(1, 0, 1, 1), 0.15, 0.5, 0.05, 0.3);
    }

    @Test
    void logitsAreDividedByTheTemperature() {
        // squares of the probabilities, over their sum 0.365
        assertShares(new Sampling(0.5, 0, 1, 1), 0.0225 / 0.365, 0.25 / 0.365, 0.0025 / 0.365, 0.09 / 0.365);
    }

    @Test
    void topPDrawsFromTheFewestTokensThatReachIt() {
        assertShares(new Sampling(1, 0, 0.7, 1), 0, 0.5 / 0.8, 0, 0.3 / 0.8);
        assertShares(new Sampling(1, 0, 0.5, 1), 0, 1, 0, 0);
        assertShares(new Sampling(1, 0, 0.81, 1), 0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95);
    }

    @Test
    void aDrawIsAFunctionOfSeedAndPosition() {
        Sampling sampling = new Sampling(1, 0, 0.9, 1);
        int[] first =
                IntStream.range(0, 200).map(k -> choose(sampling, LOGITS, k)).toArray();
        for (int k = 199; k >= 0; k--) {
            assertEquals(first[k], choose(sampling, LOGITS, k));
        }
        assertTrue(IntStream.range(0, 200)
                .anyMatch(k -> sampling.choose(LOGITS.clone(), IntStream.empty(), 4, k) != first[k]));
    }

    private static int choose(Sampling sampling, float[] logits, int position) {
        return sampling.choose(logits.clone(), IntStream.empty(), 7, position);
    }

    private static void assertShares(Sampling sampling, double... expected) {
        int[] counts = new int[expected.length];
        for (int k = 0; k < DRAWS; k++) {
            counts[choose(sampling, LOGITS, k)]++;
        }
        for (int i = 0; i < expected.length; i++) {
            double share = counts[i] / (double) DRAWS;
            // five standard deviations of 40,000 draws
            double allowed = 5 * Math.sqrt(expected[i] * (1 - expected[i]) / DRAWS);
            assertEquals(expected[i], share, allowed, sampling + ", token " + i);
        }
    }
}
