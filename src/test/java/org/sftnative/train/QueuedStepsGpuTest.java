package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch_cuda;
import org.bytedeco.pytorch.global.torch_cuda.SyncDebugMode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// Nothing in a step waits for the card, but for the loss and the norm of its gradient: libtorch fails at whatever else
/// would. (With `offload_optimizer` a step ends when its state is back in the host's memory: there the host waits.)
@Tag("gpu")
class QueuedStepsGpuTest {
    private static final int FIRST = 4; // by then memory is taken, and algorithms are chosen
    private static final int LAST = 30; // recorded passes begin in between

    @TempDir
    Path temp;

    @AfterEach
    void forgive() {
        waiting(SyncDebugMode.L_DISABLED);
    }

    private static void waiting(SyncDebugMode mode) {
        try (PointerScope _ = new PointerScope()) {
            torch_cuda.warning_state().set_sync_debug_mode(mode);
        }
    }

    @Test
    void libtorchNoticesWhoWaits() {
        try (PointerScope _ = new PointerScope()) {
            var one = Tensors.zeros(ScalarType.Float, Devices.parse("cuda"), 1);
            waiting(SyncDebugMode.L_ERROR);
            assertTrue(assertThrows(RuntimeException.class, one::item_double)
                    .getMessage()
                    .contains("synchroniz"));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "recompute, none", // recorded
        "recompute, full",
        "recompute, offload",
        "moments, block8",
        "lora_r, 4",
        "micro_batch_tokens, 300",
        "neftune_noise_alpha, 5"
    })
    void aStepIsQueuedWithoutAWait(String name, String value) {
        List<RunEvent> events = new ArrayList<>();
        RunListener listener = event -> {
            events.add(event);
            if (event instanceof RunEvent.StepDone done && done.step() == FIRST) {
                waiting(SyncDebugMode.L_ERROR);
            } else if (event instanceof RunEvent.StepDone done && done.step() == LAST) {
                waiting(SyncDebugMode.L_DISABLED);
            }
        };
        Map<String, String> settings = new HashMap<>(Map.of(
                "model_name_or_path", "src/test/resources/golden/base",
                "train_file", "data/quickstart.jsonl",
                "output_dir", temp.resolve("out").toString(),
                "device", "cuda",
                "max_steps", "" + (LAST + 2),
                "per_device_train_batch_size", "8",
                "gradient_accumulation_steps", "1",
                "logging_steps", "1",
                "save_strategy", "no"));
        settings.put(name, value);
        RunSettings run = SettingsSchema.of(RunSettings.class).bind(settings);
        assertEquals(LAST + 2, Training.run(run, List.of(listener)).step(), events::toString);
    }
}
