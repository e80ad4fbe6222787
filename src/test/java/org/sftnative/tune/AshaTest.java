package org.sftnative.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.tune.StudyEvent.Report;
import org.sftnative.tune.StudyEvent.TrialAdded;
import org.sftnative.tune.StudyEvent.TrialEnded;

class AshaTest {
    @Test
    void bracketsAreDrawnAsOftenAsRayDrawsThemAndBySeedAndTrialOnly() {
        // rungs at 1 3 9 27 81, 3 9 27 81, 9 27 81: chances 1 : 1/e : 1/e^2
        Asha asha = new Asha(new Asha.Settings(Mode.MIN, 81, 1, 3, 3, true), 5);
        int[] counts = new int[3];
        for (int trial = 0; trial < 20_000; trial++) {
            counts[asha.bracket(trial)]++;
        }
        double sum = 1 + Math.exp(-1) + Math.exp(-2);
        for (int bracket = 0; bracket < 3; bracket++) {
            double wanted = 20_000 * Math.exp(-bracket) / sum;
            // five deviations of a binomial count
            assertEquals(wanted, counts[bracket], 5 * Math.sqrt(wanted));
        }
        Asha again = new Asha(new Asha.Settings(Mode.MIN, 81, 1, 3, 3, true), 5);
        Asha other = new Asha(new Asha.Settings(Mode.MIN, 81, 1, 3, 3, true), 6);
        List<Integer> trials = java.util.stream.IntStream.range(0, 50).boxed().toList();
        assertEquals(
                trials.stream().map(asha::bracket).toList(),
                trials.stream().map(again::bracket).toList());
        assertTrue(trials.stream().anyMatch(t -> other.bracket(t) != asha.bracket(t)));
    }

    @Test
    void aLogContinuesWhereAnotherSchedulerLeftIt() {
        Asha.Settings settings = new Asha.Settings(Mode.MIN, 9, 1, 3, 1, true);
        List<StudyEvent> log = new java.util.ArrayList<>();
        java.util.Random random = new java.util.Random(3);
        for (int trial = 0; trial < 30; trial++) {
            log.add(new TrialAdded(trial, 0));
        }
        for (int time = 1; time <= 9; time++) {
            for (int trial = 0; trial < 30; trial++) {
                log.add(new Report(trial, time, random.nextDouble()));
            }
        }
        List<Decision> whole = new Asha(settings, 0).replay(log);
        Asha half = new Asha(settings, 0);
        List<Decision> first = half.replay(log.subList(0, 150));
        Asha rebuilt = new Asha(settings, 0);
        rebuilt.replay(log.subList(0, 150));
        List<Decision> joined = new java.util.ArrayList<>(first);
        joined.addAll(rebuilt.replay(log.subList(150, log.size())));
        assertEquals(whole, joined);
        assertTrue(whole.contains(Decision.STOP));
    }

    @Test
    void aReportAfterTheEndStopsWhoeverSentIt() {
        Asha asha = new Asha(Asha.Settings.of(Mode.MIN, 10), 0);
        asha.on(new TrialAdded(0, 0));
        Report report = new Report(0, 1, 0.5);
        assertEquals(Decision.CONTINUE, asha.on(report));
        asha.on(new TrialEnded(0, TrialState.COMPLETED, Optional.of(report)));
        assertEquals(Decision.STOP, asha.on(new Report(0, 2, 0.1)));
        assertThrows(IllegalArgumentException.class, () -> asha.on(new Report(1, 1, 0.5)));
    }

    @Test
    void settingsOutOfRangeAreRefused() {
        assertThrows(InputException.class, () -> new Asha.Settings(Mode.MIN, 0, 1, 4, 1, true));
        assertThrows(InputException.class, () -> new Asha.Settings(Mode.MIN, 3, 4, 4, 1, true));
        assertThrows(InputException.class, () -> new Asha.Settings(Mode.MIN, 3, 1, 1, 1, true));
        assertThrows(InputException.class, () -> new Asha.Settings(Mode.MIN, 3, 1, 4, 0, true));
        assertThrows(InputException.class, () -> new MedianStopping.Settings(Mode.MIN, -1, 3));
        assertThrows(InputException.class, () -> new MedianStopping.Settings(Mode.MIN, 1, 0));
    }
}
