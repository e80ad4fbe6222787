package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.sftnative.metrics.RunEvent;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The same decisions as transformers' EarlyStoppingCallback with Trainer's best metric.
class EarlyStoppingTest {
    /// 60 sequences with thresholds, ties, and both directions.
    @Test
    void countsAreTransformers() throws IOException {
        List<JsonNode> sequences =
                Files.readAllLines(Path.of("src/test/resources/golden/early-stopping.jsonl")).stream()
                        .map(new JsonMapper()::readTree)
                        .toList();
        assertEquals(60, sequences.size());
        for (JsonNode sequence : sequences) {
            List<Integer> counts =
                    sequence.path("counts").valueStream().map(JsonNode::asInt).toList();
            double[] losses = sequence.path("losses")
                    .valueStream()
                    .mapToDouble(JsonNode::asDouble)
                    .toArray();
            assertEquals(
                    counts,
                    worse(
                            sequence.path("threshold").asDouble(),
                            sequence.path("greater").asBoolean(),
                            losses),
                    sequence::toString);
        }
    }

    @Test
    void aWorseEvaluationCountsAndABetterOneForgives() {
        assertEquals(List.of(0, 1, 2, 0, 1), worse(0, false, 1.0, 1.1, 1.0, 0.9, 0.95));
    }

    @Test
    void aSmallImprovementCountsAsNoneButIsTheNewBest() {
        // 0.97 is better by less than 0.05; 0.93 is then compared with 0.97, not with 1.0
        assertEquals(List.of(0, 1, 2, 0), worse(0.05, false, 1.0, 0.97, 0.93, 0.80));
    }

    @Test
    void greaterMayBeBetter() {
        assertEquals(List.of(0, 0, 1), worse(0, true, 1.0, 1.1, 1.05));
    }

    @Test
    void aLossThatIsNoNumberIsNoImprovement() {
        assertEquals(List.of(1, 0, 1, 2), worse(0, false, Double.NaN, 1.0, Double.NaN, Double.POSITIVE_INFINITY));
    }

    @Test
    void theRunEndsWhenPatienceIsOverAndNeverWithoutPatience() {
        Patience state = new Patience(5, 2, 1);
        assertEquals(true, stopping(2, 0, false).isDue(state));
        assertEquals(false, stopping(3, 0, false).isDue(state));
        assertEquals(false, stopping(0, 0, false).isDue(state));
    }

    private static List<Integer> worse(double threshold, boolean greater, double... losses) {
        EarlyStopping stopping = stopping(2, threshold, greater);
        List<Integer> worse = new ArrayList<>();
        Patience state = Patience.START;
        for (double loss : losses) {
            state = stopping.after(state, new RunEvent.Evaluated(1, 0, loss, 1, 1));
            worse.add(state.worse());
        }
        return worse;
    }

    private static EarlyStopping stopping(int patience, double threshold, boolean greater) {
        return new EarlyStopping(new BestMetric("eval_loss", greater), patience, threshold);
    }
}
