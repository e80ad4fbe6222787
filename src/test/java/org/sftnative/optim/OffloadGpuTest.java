package org.sftnative.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.optim.Updates.assertSame;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch_cuda;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunEvent;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.CudaOps;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Devices;
import org.sftnative.train.Training;

/// A state in the host's memory, updated on a card, ends bit for bit as one that lies there.
@Tag("gpu")
class OffloadGpuTest {
    /// Pieces enough for copies to be far behind or ahead; the last one is short.
    private static final int N = 37 * 65_536 + 1000;

    @TempDir
    Path dir;

    private Device device;
    private Ops ops;

    @BeforeEach
    void open() {
        device = Devices.parse("cuda");
        ops = assertInstanceOf(CudaOps.Probe.Ready.class, CudaOps.probe(device)).ops();
    }

    @ParameterizedTest
    @EnumSource
    void everyModeInManyPieces(Masters masters) {
        for (Moments moments : Moments.values()) {
            Updates updates = new Updates(ops, device, N, N / 16 * 8).of(masters, moments);
            Map<String, byte[]> expected = updates.train();
            for (long piece : new long[] {65_536, 1 << 20, Offload.PIECE}) {
                Updates pieces = updates.in(piece, Offload.Lanes.of(device));
                assertSame(expected, pieces.train(), masters + " " + moments + " " + piece);
            }
            Updates pieces = updates.in(65_536, Offload.Lanes.of(device));
            assertSame(expected, pieces.trainAfter(updates), masters + " " + moments + " from the card");
            assertSame(expected, updates.trainAfter(pieces), masters + " " + moments + " from the host");
        }
    }

    @Test
    void withoutTheKernelsToo() {
        Updates updates = new Updates(new AtenOps(), device, N, N / 16 * 8).of(Masters.SPLIT, Moments.FP32);
        assertSame(updates.train(), updates.in(65_536, Offload.Lanes.of(device)).train(), "libtorch's");
    }

    /// 40M elements: 400 MB of state, of which the card has two pieces.
    @Test
    void theCardHoldsTwoPieces() {
        int n = 40_000_000;
        Updates updates = new Updates(ops, device, n, n / 8 * 8).of(Masters.SPLIT, Moments.FP32);
        long resident = allocated(updates);
        long offloaded = allocated(updates.in(Offload.PIECE, Offload.Lanes.of(device)));
        assertEquals(10L * n - 20 * Offload.PIECE, resident - offloaded, 0.01 * 10 * n);
    }

    private long allocated(Updates updates) {
        return updates.with(
                World.ALONE,
                optimizer -> torch_cuda
                        .getAllocator()
                        .getDeviceStats(device.index())
                        .allocated_bytes()
                        .current());
    }

    /// A run, and one that went on from the middle of it.
    @ParameterizedTest
    @ValueSource(strings = {"fp32", "bf16", "block8"})
    void aRunEndsAsOneThatKeepsItsStateOnTheCard(String moments) throws IOException {
        Map<String, String> settings = new HashMap<>(Map.of("moments", moments));
        byte[] expected = train("resident", settings);
        settings.put("offload_optimizer", "true");
        assertArrayEquals(expected, train("offloaded", settings));
        Files.delete(dir.resolve("offloaded/checkpoint-6/trainer_state.json"));
        settings.put("resume_from_checkpoint", "latest");
        assertArrayEquals(expected, train("offloaded", settings));
        Files.delete(dir.resolve("offloaded/checkpoint-6/trainer_state.json"));
        settings.put("offload_optimizer", "false");
        assertArrayEquals(expected, train("offloaded", settings));
    }

    @Test
    void adaptersWithTwoRatesToo() throws IOException {
        Map<String, String> settings = new HashMap<>(Map.of("lora_r", "4", "lora_plus_ratio", "16"));
        byte[] expected = train("resident", settings);
        settings.put("offload_optimizer", "true");
        assertArrayEquals(expected, train("offloaded", settings));
    }

    private byte[] train(String name, Map<String, String> more) throws IOException {
        Path out = dir.resolve(name);
        Map<String, String> settings = new HashMap<>(Map.of(
                "model_name_or_path",
                "src/test/resources/golden/base",
                "train_file",
                "data/quickstart.jsonl",
                "output_dir",
                out.toString(),
                "device",
                "cuda",
                "max_steps",
                "6",
                "save_steps",
                "3",
                "learning_rate",
                "1e-3",
                "report_samples",
                "0"));
        settings.putAll(more);
        List<RunEvent> events = new ArrayList<>();
        RunSettings run = SettingsSchema.of(RunSettings.class).bind(settings);
        Training.run(run, List.of(events::add));
        assertTrue(
                events.toString().contains(" on the host, ")
                        == settings.getOrDefault("offload_optimizer", "false").equals("true"),
                events::toString);
        Path model = out.resolve("model.safetensors");
        return Files.readAllBytes(Files.exists(model) ? model : out.resolve("adapter_model.safetensors"));
    }
}
