package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.LoraInit;
import org.sftnative.io.ModelDirectory;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.model.AdapterConfig;
import org.sftnative.model.AdapterConfig.Targets;
import org.sftnative.model.AdapterFiles;
import org.sftnative.model.Adapters;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.PackedBatch;
import org.sftnative.model.RandomAdapter;
import org.sftnative.support.TensorAssert;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// PEFT loads what we save and gives our logits, and transformers loads what we merge without a warning. Python is
/// `SFT_PYTHON`, else `python3`.
@Tag("peft")
class AdapterPeftTest {
    private static final int[] IDS = IntStream.range(3, 23).toArray();

    /// Adapters of every kind that we write.
    enum Kind {
        PLAIN(config(new Targets.Names(List.of("q_proj", "v_proj")), List.of(), false, false, Map.of(), Map.of())),
        ALL_LINEAR(config(new Targets.AllLinear(), List.of(), false, false, Map.of(), Map.of())),
        PATTERNS(config(
                new Targets.AllLinear(),
                List.of(),
                true,
                false,
                new TreeMap<>(Map.of("down_proj", 7, "layers\\.0\\..*_proj", 2)), // the first that fits counts
                Map.of("model.layers.1.self_attn.q_proj", 2.5))),
        DORA(config(
                new Targets.Names(List.of("k_proj", "o_proj", "up_proj")), List.of(), false, true, Map.of(), Map.of())),
        SAVED(config(
                new Targets.Names(List.of("v_proj")),
                List.of("lm_head", "embed_tokens", "norm"),
                false,
                false,
                Map.of(),
                Map.of())),
        REGEX(config(new Targets.Regex(".*\\.[02]\\..*(gate|k)_proj"), List.of(), false, false, Map.of(), Map.of()));

        private final AdapterConfig config;

        Kind(AdapterConfig config) {
            this.config = config;
        }

        private static AdapterConfig config(
                Targets targets,
                List<String> saved,
                boolean rslora,
                boolean dora,
                Map<String, Integer> ranks,
                Map<String, Double> alphas) {
            return new AdapterConfig(4, 6, 0.1, targets, saved, rslora, dora, ranks, alphas, LoraInit.TRUE);
        }
    }

    @TempDir
    Path dir;

    @ParameterizedTest
    @EnumSource
    void peftGivesOurLogitsFromWhatWeSave(Kind kind) throws Exception {
        Path adapter = dir.resolve("adapter");
        RandomAdapter.save(adapter, Program.BASE, kind.config, 8, 0.1);
        assertSame(adapterLogits(adapter), python("check", Program.BASE.toString(), adapter.toString()));
    }

    @Test
    void peftGivesOurLogitsFromWhatPissaTrained() throws Exception {
        Path adapter = dir.resolve("adapter");
        String[] settings = {
            "--lora-r", "4", "--init-lora-weights", "pissa", "--use-rslora", "--rank-pattern", "down_proj=2"
        };
        Program.train(adapter, Program.rows(dir, 0, 8), settings).succeeded();
        assertSame(adapterLogits(adapter), python("check", Program.BASE.toString(), adapter.toString()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"PLAIN", "PATTERNS", "DORA", "SAVED"})
    void transformersGivesOurLogitsFromWhatWeMerge(Kind kind) throws Exception {
        Path adapter = dir.resolve("adapter");
        Path merged = dir.resolve("merged");
        RandomAdapter.save(adapter, Program.BASE, kind.config, 9, 0.1);
        Program.run(
                        "merge",
                        "--model",
                        Program.BASE.toString(),
                        "--adapter",
                        adapter.toString(),
                        "--output-dir",
                        merged.toString(),
                        "--dtype",
                        "fp32",
                        "--max-shard-size",
                        "900KB",
                        "--threads",
                        "1")
                .succeeded();
        assertSame(adapterLogits(adapter), python("check-merged", merged.toString()));
    }

    /// 1e-5 of the largest; measured up to 2e-6.
    private static void assertSame(float[] ours, float[] theirs) {
        TensorAssert.assertCloseToScale("logits", theirs, ours, 1e-5);
    }

    private float[] python(String... args) throws Exception {
        String python = Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3");
        Path out = dir.resolve("logits.safetensors");
        List<String> command = new ArrayList<>(List.of(python, "scripts/golden/peft_adapters.py"));
        command.addAll(Arrays.asList(args));
        command.add(out.toString());
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), () -> python + " (set SFT_PYTHON to one that has peft):\n" + said);
        try (SafetensorsFile file = SafetensorsFile.open(out)) {
            return file.bytes("logits").toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        }
    }

    private static float[] adapterLogits(Path adapter) {
        try (ModelDirectory directory = ModelDirectory.open(Program.BASE);
                PointerScope _ = new PointerScope()) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            try (FrozenBase base =
                            LlamaFiles.loadFrozen(directory, config, Dtype.F32, Devices.cpu(), Optional.empty());
                    Adapters adapters = AdapterFiles.load(adapter, config, Devices.cpu())) {
                int[] targets = new int[IDS.length];
                Arrays.fill(targets, -100);
                PackedBatch batch = PackedBatch.of(IDS, targets, new int[] {0, IDS.length}, Devices.cpu());
                long[] rows = LongStream.range(0, IDS.length).toArray();
                return Tensors.floats(new Llama(config, base, adapters, Llama.Options.PLAIN)
                        .logits(batch, Tensors.ofLongs(rows, Devices.cpu())));
            }
        }
    }
}
