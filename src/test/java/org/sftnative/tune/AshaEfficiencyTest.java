package org.sftnative.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/// ASHA over the training curves that `scripts/asha-efficiency --record` kept.
class AshaEfficiencyTest {
    private static final Path CURVES = Path.of("benchmarks/asha-curves");

    @Test
    void ashaFindsALossWithinOnePercentForTwoFifthsOfTheTokens() throws IOException {
        int seeds = 0;
        for (int seed = 1; seed <= AshaEfficiency.SEEDS; seed++) {
            List<AshaEfficiency.Curve> curves = AshaEfficiency.read(CURVES, seed);
            if (curves.size() < AshaEfficiency.TRIALS) {
                continue; // not recorded, or not yet whole
            }
            seeds++;
            var whole = AshaEfficiency.replay(curves, new NoScheduler(), AshaEfficiency.CONCURRENT);
            var asha = AshaEfficiency.replay(curves, new Asha(AshaEfficiency.ASHA, seed), AshaEfficiency.CONCURRENT);
            assertEquals(
                    curves.stream().mapToDouble(AshaEfficiency.Curve::end).min().orElseThrow(), whole.loss());
            assertTrue(asha.loss() <= 1.01 * whole.loss(), "seed " + seed + ": " + asha + ", all: " + whole);
            assertTrue(asha.tokens() <= 0.4 * whole.tokens(), "seed " + seed + ": " + asha + ", all: " + whole);
        }
        assertTrue(seeds >= 1, "no seed is recorded");
    }

    /// `scripts/asha-efficiency --live 1`: real trials, two at a time, ending where the scheduler said.
    @Test
    void aLiveStudyFindsOnItsRecordedCurvesWhatTheReplayPromises() throws IOException {
        List<AshaEfficiency.Curve> curves = AshaEfficiency.read(CURVES, 1);
        List<StudyEvent.Report> ends = AshaEfficiency.readLive(CURVES, 1);
        assertEquals(AshaEfficiency.TRIALS, ends.size());
        for (StudyEvent.Report end : ends) {
            double recorded = curves.get(end.trial()).curve().stream()
                    .filter(point -> Math.abs(point.time() - end.time()) < 1e-6)
                    .findFirst()
                    .orElseThrow()
                    .metric();
            assertEquals(recorded, end.metric(), 1e-5, end::toString); // recorded with five digits
        }
        var whole = AshaEfficiency.replay(curves, new NoScheduler(), 1);
        var live = AshaEfficiency.found(curves, ends);
        assertTrue(live.loss() <= 1.01 * whole.loss(), live + ", all: " + whole);
        assertTrue(live.tokens() <= 0.4 * whole.tokens(), live + ", all: " + whole);
    }

    @Test
    void recordedSettingsAreThoseThatTheStudyWouldChoose() throws IOException {
        SearchSpace space = SearchSpace.parse(SearchSpace.example(), "example");
        for (int seed = 1; seed <= AshaEfficiency.SEEDS; seed++) {
            for (AshaEfficiency.Curve curve : AshaEfficiency.read(CURVES, seed)) {
                assertEquals(space.sample(seed, curve.trial()), space.canonical(curve.values()));
            }
        }
    }
}
