package org.sftnative.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.sftnative.tune.StudyEvent.Report;
import org.sftnative.tune.StudyEvent.TrialAdded;
import org.sftnative.tune.StudyEvent.TrialEnded;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Every decision of Ray's own schedulers, recorded by `scripts/golden/tune_schedulers.py`.
class SchedulersGoldenTest {
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .build();

    private static List<JsonNode> studies(String scheduler) {
        try (var in = SchedulersGoldenTest.class.getResourceAsStream("/golden/tune/schedulers.jsonl.gz");
                var lines =
                        new BufferedReader(new InputStreamReader(new GZIPInputStream(in), StandardCharsets.UTF_8))) {
            return lines.lines()
                    .map(JSON::readTree)
                    .filter(line -> line.path("scheduler").asString("").equals(scheduler))
                    .toList();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static Asha.Settings asha(JsonNode s) {
        return new Asha.Settings(
                Mode.valueOf(s.get("mode").asString().toUpperCase(java.util.Locale.ROOT)),
                s.get("max_t").asDouble(),
                s.get("grace_period").asDouble(),
                s.get("reduction_factor").asDouble(),
                s.get("brackets").asInt(),
                s.get("stop_last_trials").asBoolean());
    }

    private static MedianStopping.Settings median(JsonNode s) {
        return new MedianStopping.Settings(
                Mode.valueOf(s.get("mode").asString().toUpperCase(java.util.Locale.ROOT)),
                s.get("grace_period").asDouble(),
                s.get("min_samples_required").asInt());
    }

    private record Counted(int trials, int decisions, int stops, int odd) {}

    /// Replays a study's events and compares each decision with the recorded one.
    private static Counted compare(JsonNode study, Scheduler scheduler) {
        List<StudyEvent> log = new ArrayList<>();
        List<Decision> wanted = new ArrayList<>();
        var last = new java.util.HashMap<Integer, Report>();
        int trials = 0;
        int odd = 0;
        for (JsonNode event : study.get("events")) {
            int trial = event.get(1).asInt();
            switch (event.get(0).asString()) {
                case "a" -> {
                    trials++;
                    log.add(new TrialAdded(trial, event.get(2).asInt()));
                }
                case "r" -> {
                    Report report = new Report(
                            trial, event.get(2).asDouble(), event.get(3).asDouble());
                    Report before = last.put(trial, report);
                    boolean backward = before != null && before.time() >= report.time();
                    odd += !Double.isFinite(report.metric()) || backward ? 1 : 0;
                    log.add(report);
                    wanted.add(Decision.valueOf(event.get(4).asString()));
                }
                default ->
                    log.add(new TrialEnded(
                            trial,
                            TrialState.valueOf(event.get(2).asString().toUpperCase(java.util.Locale.ROOT)),
                            Optional.ofNullable(last.get(trial))));
            }
        }
        List<Decision> decisions = scheduler.replay(log);
        assertEquals(wanted.size(), decisions.size());
        for (int i = 0; i < wanted.size(); i++) {
            int at = i;
            assertEquals(
                    wanted.get(i),
                    decisions.get(i),
                    () -> study.get("settings") + ", report " + at + " of " + wanted.size() + ": "
                            + log.stream()
                                    .filter(Report.class::isInstance)
                                    .toList()
                                    .get(at));
        }
        return new Counted(
                trials,
                wanted.size(),
                (int) wanted.stream().filter(Decision.STOP::equals).count(),
                odd);
    }

    private static Counted total(List<Counted> all) {
        return all.stream()
                .reduce(
                        new Counted(0, 0, 0, 0),
                        (a, b) -> new Counted(
                                a.trials + b.trials, a.decisions + b.decisions, a.stops + b.stops, a.odd + b.odd));
    }

    @Test
    void ashaDecidesAsRay() {
        Counted total = total(studies("asha").stream()
                .map(study -> compare(study, new Asha(asha(study.get("settings")), 0)))
                .toList());
        assertTrue(total.trials() >= 500 && total.stops() >= 300 && total.odd() >= 300, total::toString);
    }

    @Test
    void ashaHasRaysRungs() {
        int compared = 0;
        for (JsonNode study : studies("asha")) {
            List<Asha.RungView> ours = new Asha(asha(study.get("settings")), 0).rungs();
            List<Double> ages = ours.stream().map(Asha.RungView::age).toList();
            List<Double> wanted = new ArrayList<>();
            for (JsonNode bracket : study.get("rungs")) {
                List<Double> lowestFirst = new ArrayList<>();
                bracket.forEach(age -> lowestFirst.addFirst(age.asDouble()));
                wanted.addAll(lowestFirst);
            }
            assertEquals(wanted, ages, () -> study.get("settings").toString());
            compared++;
        }
        assertTrue(compared >= 400, "studies: " + compared);
    }

    @Test
    void theMedianRuleDecidesAsRay() {
        Counted total = total(studies("median").stream()
                .map(study -> compare(study, new MedianStopping(median(study.get("settings")))))
                .toList());
        assertTrue(total.trials() >= 300 && total.stops() >= 200 && total.odd() >= 60, total::toString);
    }
}
