package org.sftnative.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.sftnative.tune.StudyEvent.Report;

class ImportanceTest {
    private static Trial trial(int number, Map<String, Object> values, double metric) {
        return new Trial(number, values, TrialState.COMPLETED, List.of(new Report(number, 1, metric)));
    }

    private static List<Trial> trials(int n) {
        SearchSpace space = SearchSpace.parse("""
                learning_rate: loguniform(1e-5, 1e-1)
                lr_scheduler_type: choice([linear, cosine])
                weight_decay: uniform(0, 1)
                seed: 42
                """, "");
        List<Trial> trials = new ArrayList<>();
        for (int k = 0; k < n; k++) {
            Map<String, Object> values = space.sample(4, k);
            // a valley in the learning rate, a little of the schedule, nothing of the decay
            double metric = Math.pow(Math.log10((Double) values.get("learning_rate")) + 3, 2)
                    + (values.get("lr_scheduler_type").equals("linear") ? 1.5 : 0);
            trials.add(trial(k, values, metric));
        }
        return trials;
    }

    @Test
    void whatDecidesTheMetricComesFirstThoughItIsNoStraightLine() {
        Map<String, Double> importance = Importance.of(trials(400));
        assertEquals(List.of("learning_rate", "lr_scheduler_type", "weight_decay"), List.copyOf(importance.keySet()));
        assertTrue(importance.get("learning_rate") > 0.4, importance::toString);
        assertTrue(importance.get("lr_scheduler_type") > 0.03, importance::toString);
        assertTrue(importance.get("weight_decay") < 0.03, importance::toString);
    }

    @Test
    void fewTrialsSayNothing() {
        assertEquals(Map.of(), Importance.of(trials(9)));
    }

    @Test
    void aFailedTrialAndOneWithoutANumberAreNeverBest() {
        Trial good = trial(1, Map.of(), 0.5);
        Trial failed = new Trial(0, Map.of(), TrialState.FAILED, List.of(new Report(0, 1, 0.1)));
        Trial nan = trial(2, Map.of(), Double.NaN);
        Trial later = trial(3, Map.of(), 0.5);
        List<Trial> all = List.of(later, failed, nan, good);
        assertEquals(good, Trial.best(all, Mode.MIN).orElseThrow());
        assertEquals(good, Trial.best(all, Mode.MAX).orElseThrow());
        assertTrue(Trial.best(List.of(failed, nan), Mode.MIN).isEmpty());
    }
}
