package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.dist.World;
import org.sftnative.io.Manifest;
import org.sftnative.io.ModelDirectory;
import org.sftnative.metrics.RunEvent;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;

/// What a run remembers of its evaluations and checkpoints when it goes back: that of the checkpoint, as of one that
/// was started from there. It stood at step 9, with a checkpoint of step 8 that is gone.
class RunHooksTest {
    private static final Patience WORSE = new Patience(9, 3, 1.5);
    private static final Patience KEPT = new Patience(4, 1, 2.5);
    private static final Checkpoints.Best EIGHTH = new Checkpoints.Best(8, "eval_loss", 1.5);
    private static final Checkpoints.Best FOURTH = new Checkpoints.Best(4, "eval_loss", 2.5);

    @TempDir
    Path output;

    private Parameters weights = small();
    private OptimizerParts parts = OptimizerParts.WHOLE;
    private boolean begun;

    /// What would be written is asked for first: the model's weights.
    private final CausalLm model = (CausalLm)
            Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {CausalLm.class}, (_, method, _) -> {
                if (method.getName().equals("warning")) {
                    return Optional.of("it is slow");
                }
                if (method.getName().equals("parameters") && !begun) {
                    return weights;
                }
                throw new IllegalStateException(method.getName());
            });

    private final List<RunEvent> events = new ArrayList<>();

    @AfterEach
    void close() {
        weights.close();
    }

    @Test
    void aRollbackGoesBackToThePatienceOfTheCheckpoint() throws Exception {
        RunHooks hooks = rolledBack();
        assertFalse(hooks.endsEarly());
        assertEquals("eval_loss has not improved in 1 evaluation; the best was 2.5", hooks.whyEarly());
    }

    @Test
    void aRollbackGoesBackToTheBestOfTheCheckpoint() throws Exception {
        assertEquals(FOURTH, rolledBack().best());
    }

    @Test
    void afterARollbackTheCheckpointIsThereAndLaterOnesAreWrittenAnew() throws Exception {
        RunHooks hooks = rolledBack();
        hooks.save(at(4));
        String asked = assertThrows(IllegalStateException.class, () -> hooks.save(at(8)))
                .getMessage();
        assertEquals("parameters", asked);
    }

    @Test
    void afterARollbackToTheStartEveryCheckpointIsWrittenAnew() {
        RunHooks hooks = hooks(4);
        hooks.rollBack(at(9)); // there is none in the output directory
        assertThrows(IllegalStateException.class, () -> hooks.save(at(4)));
    }

    @Test
    void whatTheModelHasToSayIsToldAtTheNextStep() {
        assertEquals(RunControl.Request.NONE, hooks(0).request());
        assertEquals(List.of(new RunEvent.Warned("it is slow")), events);
    }

    /// Of a million ranks that share out 2^43 weights each has 8M, and rank 0 is to gather them all.
    @Test
    void onlyTheRankThatGathersWeightsNeedsRoomForAllOfThem() {
        shares(1);
        hooks(0);
        shares(0);
        String message = assertThrows(InputException.class, () -> hooks(0)).getMessage();
        assertTrue(
                message.startsWith("sharding zero3: rank 0 gathers the weights to save them, which takes "), message);
    }

    private void shares(int rank) {
        weights.close();
        World world = (World) Proxy.newProxyInstance(
                getClass().getClassLoader(), new Class<?>[] {World.class}, (_, method, _) -> switch (method.getName()) {
                    case "rank" -> rank;
                    case "size" -> 1 << 20;
                    case "leads" -> rank == 0;
                    default -> throw new IllegalStateException(method.getName());
                });
        parts = new OptimizerParts(world, true, 0);
        ParameterLayout all = new ParameterLayout(new LinkedHashMap<>(), 1L << 43, 0);
        weights = Parameters.shared(all, Dtype.F32, Devices.cpu(), world);
        begun = false;
    }

    private RunHooks rolledBack() throws Exception {
        Path checkpoint = Files.createDirectory(output.resolve("checkpoint-4"));
        Files.writeString(checkpoint.resolve("trainer_state.json"), "{}");
        Manifest.write(checkpoint, Map.of());
        RunHooks hooks = hooks(8);
        assertEquals(4, hooks.rollBack(at(9)).step());
        return hooks;
    }

    private RunHooks hooks(long savedStep) {
        BestMetric metric = new BestMetric("eval_loss", false);
        Checkpoints checkpoints = new Checkpoints(
                output,
                0,
                new RunIdentity("20 (ab)", "8 rows", "shuffled", 42, 10, PrecisionChoice.FP32, "all weights"),
                new TreeMap<>(),
                OptimizerParts.WHOLE);
        RunHooks hooks = new RunHooks(
                null,
                model,
                null,
                null,
                checkpoints,
                parts,
                null,
                Optional.empty(),
                null,
                new RunHooks.Control(new RunControl(), output, false, 0, metric, new EarlyStopping(metric, 3, 0)),
                _ -> new Checkpoints.Restored(at(4), "", FOURTH, KEPT),
                Optional.empty(),
                events::add,
                savedStep,
                EIGHTH,
                WORSE);
        begun = true;
        return hooks;
    }

    private static Parameters small() {
        try (ModelDirectory base = ModelDirectory.open(Path.of("src/test/resources/golden/base"))) {
            return new Parameters(ParameterLayout.of(LlamaConfig.of(base.config())), Dtype.F32, Devices.cpu());
        }
    }

    private static RunState at(long step) {
        return new RunState(step, 0, 0, 0, RunState.SinceLog.NOTHING, 0, 0, SpikeState.START);
    }
}
