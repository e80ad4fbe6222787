package org.sftnative.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class MonitorTest {
    private final List<RunEvent.Alerted> alerts = new ArrayList<>();
    private final Monitor monitor = new Monitor(event -> alerts.add((RunEvent.Alerted) event));
    private long step;

    @Test
    void calmRunSaysNothing() {
        for (int i = 0; i < 50; i++) {
            step(2.0 - 0.02 * i, 1, 1000 + 40 * (i % 3));
        }
        assertEquals(List.of(), alerts);
    }

    @Test
    void halfTheThroughputIsADropUnlessItIsOneStepAlone() {
        for (int i = 0; i < 6; i++) {
            step(1, 1, 1000);
        }
        step(1, 1, 490);
        step(1, 1, 1000);
        step(1, 1, 490);
        assertEquals(List.of(), alerts);
        step(1, 1, 490);
        step(1, 1, 490);
        assertEquals(List.of(10L), alerts.stream().map(RunEvent.Alerted::step).toList());
        assertEquals("throughput_drop", alerts.getFirst().kind());
    }

    @Test
    void evaluationThatRisesTwiceWhileTrainingFallsIsOverFitting() {
        double[] evals = {1.5, 1.4, 1.45, 1.5};
        for (int i = 0; i < evals.length; i++) {
            step(2 - 0.3 * i, 1, 1000);
            monitor.on(new RunEvent.Evaluated(step, 0, evals[i], 10, 1));
        }
        assertEquals(
                List.of("eval_rise"),
                alerts.stream().map(RunEvent.Alerted::kind).toList());
    }

    private void step(double loss, double norm, long rate) {
        step++;
        monitor.on(new RunEvent.StepDone(step, 100, 0, loss, norm, 1e-5, rate, rate, 1, 0, true));
    }
}
