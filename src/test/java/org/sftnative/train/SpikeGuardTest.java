package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.sftnative.config.SettingsSchema;
import org.sftnative.config.SpikeSettings;
import org.sftnative.train.SpikeGuard.Action;
import org.sftnative.train.SpikeGuard.Verdict;

/// What counts as a spike, and what is done, step by step.
class SpikeGuardTest {
    private SpikeState state = SpikeState.START;

    @Test
    void aLossOverTwiceTheMedianOrANormOverTenIsToldAndTrained() {
        SpikeGuard guard = guard();
        calm(guard, 20, 2.0, 1.0);
        assertEquals("", step(guard, 4.0, 10.0).why().orElse(""), "exactly at the limits");
        Verdict loss = step(guard, 4.001, 1.0);
        assertEquals(Action.UPDATE, loss.action());
        assertEquals(
                "loss 4.001 is over 2.000 x 2.000, the median of 21 steps",
                loss.why().orElse(""));
        step(guard, 2.0, 1.0);
        assertEquals(
                "gradient norm 10.01 is over 10.00",
                step(guard, 2.0, 10.01).why().orElse(""));
    }

    @Test
    void theFirstStepsAreComparedWithNothingButTheNorm() {
        SpikeGuard guard = guard();
        for (int i = 0; i < 16; i++) {
            assertTrue(step(guard, i == 15 ? 100 : 1, 1).why().isEmpty(), "step " + i);
        }
        assertTrue(step(guard, 100, 1).why().isPresent());
        state = SpikeState.START;
        assertTrue(step(guard, 1, 11).why().isPresent());
    }

    @Test
    void aRowOfSpikesIsToldOnceAndALevelThatStaysIsNoSpikeAfterHalfAWindow() {
        SpikeGuard guard = guard("on_spike", "skip", "spike_window", "32");
        calm(guard, 32, 1.0, 1.0);
        int skipped = 0;
        while (step(guard, 3.0, 1.0).action() == Action.SKIP) {
            skipped++;
        }
        assertEquals(16, skipped);
        SpikeGuard warning = guard();
        state = SpikeState.START;
        calm(warning, 32, 1.0, 1.0);
        assertTrue(step(warning, 3.0, 1.0).why().isPresent());
        assertTrue(step(warning, 3.0, 1.0).why().isEmpty());
    }

    @Test
    void valuesThatAreNotFiniteStayOutOfTheWindowAndAreNoSpikes() {
        SpikeGuard guard = guard("on_spike", "rollback");
        calm(guard, 20, 1.0, 1.0);
        SpikeState before = state;
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            Verdict verdict = step(guard, bad, bad);
            assertEquals(Action.UPDATE, verdict.action()); // the loop has a branch of its own
            assertEquals(before, state);
        }
        assertTrue(step(guard, 2.1, 1.0).why().isPresent(), "NaN in the window would hide it");
    }

    /// Normal noise passes 6 sigma once in 10^9 steps; what lies 12 sigma out never hides, though one value in
    /// eight does so.
    @Test
    void sixSigmaFindsSpikesInNoiseAndOnlyThem() {
        SpikeGuard guard = guard("spike_rule", "sigma", "on_spike", "skip");
        Random random = new Random(1);
        int found = 0;
        for (int i = 0; i < 4000; i++) {
            boolean spike = i > 128 && i % 8 == 0;
            double loss = 2 + 0.1 * random.nextGaussian() + (spike ? 1.2 : 0);
            Verdict verdict = step(guard, loss, 1 + 0.05 * random.nextGaussian());
            assertEquals(spike ? Action.SKIP : Action.UPDATE, verdict.action(), "step " + i);
            found += spike ? 1 : 0;
        }
        assertEquals(483, found);
        assertEquals(128, state.losses().size());
    }

    @Test
    void sigmaJudgesTheNormTooAndEqualValuesAreNoTrap() {
        SpikeGuard guard = guard("spike_rule", "sigma", "on_spike", "rollback");
        calm(guard, 40, 2.0, 0.5);
        assertEquals(Action.UPDATE, step(guard, 2.0001, 0.50001).action());
        assertEquals(Action.ROLL_BACK, step(guard, 2.0, 0.6).action());
    }

    @Test
    void theLearningRateIsHalvedOnceARowOfSpikesAndAFewTimesOnly() {
        SpikeGuard guard = guard("on_spike", "reduce-lr", "spike_limit", "2", "spike_window", "128");
        calm(guard, 60, 1.0, 1.0);
        for (double expected : List.of(0.5, 0.25, 0.25)) {
            assertTrue(step(guard, 5.0, 1.0).why().isPresent());
            assertEquals(expected, state.rateFactor());
            step(guard, 5.0, 1.0);
            assertEquals(expected, state.rateFactor());
            calm(guard, 3, 1.0, 1.0);
        }
    }

    private void calm(SpikeGuard guard, int steps, double loss, double norm) {
        for (int i = 0; i < steps; i++) {
            assertTrue(step(guard, loss, norm).why().isEmpty());
        }
    }

    private Verdict step(SpikeGuard guard, double loss, double norm) {
        Verdict verdict = guard.judge(state, loss, norm);
        state = verdict.after();
        return verdict;
    }

    private static SpikeGuard guard(String... settings) {
        Map<String, String> given = new java.util.HashMap<>();
        for (int i = 0; i < settings.length; i += 2) {
            given.put(settings[i], settings[i + 1]);
        }
        return new SpikeGuard(SettingsSchema.of(SpikeSettings.class).bind(given));
    }
}
