package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.RunEvent;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Compares a run with the numbers that transformers' Trainer wrote down for the same settings, step by step.
record StepParity(JsonNode golden) {
    private static final SettingsSchema<RunSettings> SCHEMA = SettingsSchema.of(RunSettings.class);

    static StepParity read(Path file) {
        return new StepParity(new JsonMapper().readTree(file.toFile()));
    }

    JsonNode settings() {
        return golden.path("settings");
    }

    /// Runs with these settings and compares every step.
    void assertEqualSteps(String name, Map<String, String> settings, double lossTolerance, double normTolerance) {
        List<RunEvent.StepDone> steps = new ArrayList<>();
        Training.run(SCHEMA.bind(settings), List.of(event -> {
            if (event instanceof RunEvent.StepDone step) {
                steps.add(step);
            }
        }));
        JsonNode expected = golden.path("steps");
        assertEquals(expected.size(), steps.size(), name + ": steps");
        for (int i = 0; i < steps.size(); i++) {
            RunEvent.StepDone step = steps.get(i);
            JsonNode wanted = expected.get(i);
            String where = name + ", step " + step.step();
            double norm = wanted.path("grad_norm").asDouble();
            double rate = wanted.path("learning_rate").asDouble();
            assertEquals(wanted.path("step").asLong(), step.step(), where);
            assertEquals(rate, step.learningRate(), 1e-12, where + ": learning rate");
            assertEquals(wanted.path("loss").asDouble(), step.loss(), lossTolerance, where + ": loss");
            assertEquals(norm, step.gradNorm(), normTolerance * norm, where + ": gradient norm");
        }
    }
}
