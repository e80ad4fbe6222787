package org.sftnative.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.InputException;

class SettingsSchemaTest {
    private static final SettingsSchema<RunSettings> RUN = SettingsSchema.of(RunSettings.class);
    private static final List<SettingValue> REQUIRED =
            List.of(flag("model", "m"), flag("train_file", "a.json", "b.json"), flag("output_dir", "out"));

    @Test
    void defaultsAreTheTutorials() {
        RunSettings settings = RUN.bind(RUN.resolve(REQUIRED));
        assertEquals(Path.of("m"), settings.model().modelNameOrPath());
        assertEquals(
                List.of(Path.of("a.json"), Path.of("b.json")), settings.data().trainFile());
        assertEquals(512, settings.encoding().maxLength());
        assertEquals(Optional.empty(), settings.data().evalFile());
        TrainingSettings training = settings.training();
        assertEquals(2e-5, training.learningRate());
        assertEquals(3, training.numTrainEpochs());
        assertEquals(16, training.rowsPerStep());
        assertEquals(LrSchedulerType.COSINE, training.lrSchedulerType());
        assertEquals(0.03, training.warmupRatio());
        assertEquals(10, training.loggingSteps());
        assertEquals(100, training.saveSteps());
        assertEquals(2, training.saveTotalLimit());
    }

    @Test
    void flagsWinOverTheFileAndTheFileOverDefaults() {
        List<SettingValue> file = SettingsFile.parse("learning_rate: 1e-3\nmax_steps: 7\n", "run.yaml");
        ResolvedSettings resolved = RUN.resolve(file, with(flag("lr", "5e-4")));
        TrainingSettings training = RUN.bind(resolved).training();
        assertEquals(5e-4, training.learningRate());
        assertEquals(7, training.maxSteps());
        assertEquals(
                "--lr",
                resolved.values().get(RUN.find("learning_rate").orElseThrow()).origin());
        assertEquals(
                "run.yaml:2",
                resolved.values().get(RUN.find("max_steps").orElseThrow()).origin());
    }

    @Test
    void unknownSettingNamesItsLineAndTheNearestName() {
        assertMessage(
                "unknown setting 'learning_rates' in run.yaml:2\n  did you mean 'learning_rate'?",
                "# a comment\nlearning_rates: 1e-3");
        assertMessage(
                "unknown setting 'bf16' in run.yaml:1\n"
                        + "  write precision: bf16-autocast (what transformers' bf16 does), or precision: bf16",
                "bf16: true");
        assertMessage(
                "unknown setting 'quantum_flux' in run.yaml:1\n  --help lists the settings, and docs/SETTINGS.md",
                "quantum_flux: 1");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "max_steps: 1.5 | setting 'max_steps' (run.yaml:1) is '1.5', must be a whole number of at most 2147483647",
                "max_steps: 99999999999 | setting 'max_steps' (run.yaml:1) is '99999999999', must be a whole number of at most 2147483647",
                "learning_rate: NaN | setting 'learning_rate' (run.yaml:1) is 'NaN', must be a number",
                "learning_rate: 1d | setting 'learning_rate' (run.yaml:1) is '1d', must be a number",
                "shuffle: 1 | setting 'shuffle' (run.yaml:1) is '1', must be true or false",
                "learning_rate: [1, 2] | setting 'learning_rate' (run.yaml:1) is a list of 2, must be a number",
                "learning_rate: | setting 'learning_rate' (run.yaml:1) is null, must be a number",
                "output_dir: \"\" | setting 'output_dir' (run.yaml:1) is '', must be a path",
                "precision: fp8 | setting 'precision' (run.yaml:1) is 'fp8', must be auto, fp32, bf16-autocast, bf16",
                "lr_scheduler_type: cosin | setting 'lr_scheduler_type' (run.yaml:1) is 'cosin', must be linear, cosine, cosine_with_min_lr, constant, constant_with_warmup",
            })
    void wrongTypeNamesTheValueAndWhatIsExpected(String yaml, String message) {
        assertMessage(message, yaml);
    }

    @Test
    void rangeErrorsSayWhereTheValueCameFrom() {
        InputException fromFile = assertThrows(
                InputException.class,
                () -> RUN.bind(RUN.resolve(SettingsFile.parse("\nlearning_rate: 20", "run.yaml"), REQUIRED)));
        assertEquals("setting 'learning_rate' (run.yaml:2) is 20.0, must be from 0 to 10", fromFile.getMessage());
        InputException fromFlag =
                assertThrows(InputException.class, () -> RUN.bind(RUN.resolve(with(flag("device", "gpu")))));
        assertEquals("setting 'device' (--device) is 'gpu', must be auto, cpu, cuda or cuda:N", fromFlag.getMessage());
    }

    @Test
    void everyMissingSettingIsNamedAtOnce() {
        InputException error =
                assertThrows(InputException.class, () -> RUN.bind(RUN.resolve(List.of(flag("model", "m")))));
        assertEquals(
                "2 settings are missing\n  --train-file: rows to train on: files, directories or globs\n"
                        + "  --output-dir: where the model, checkpoints and logs go",
                error.getMessage());
    }

    @Test
    void aSettingAndItsAliasInOneLayerAreRefused() {
        assertMessage(
                "setting 'learning_rate' is given twice: run.yaml:1 and run.yaml:2\n  keep one of them",
                "lr: 1e-3\nlearning_rate: 1e-4");
    }

    @Test
    void oldSpellingsAndBothDashesAreUnderstood() {
        TrainingSettings training = RUN.bind(RUN.resolve(
                        SettingsFile.parse(
                                "evaluation_strategy: no\nmax-seq-length: 128\noverwrite_output_dir: True\n"
                                        + "lr_scheduler_type: cosine-with-min-lr\nwarmup_ratio: 0.1",
                                "run.yaml"),
                        REQUIRED))
                .training();
        assertEquals(IntervalStrategy.NO, training.evalStrategy());
        assertTrue(training.overwriteOutputDir());
        assertEquals(LrSchedulerType.COSINE_WITH_MIN_LR, training.lrSchedulerType());
    }

    /// Expected values: transformers 5.18's `TrainingArguments(warmup_steps=W).get_warmup_steps(total)`.
    @ParameterizedTest
    @CsvSource({"0.03,100,3", "0.03,101,4", "0.1,30,3", "0.07,100,8", "0,100,0", "25,100,25", "1,100,1", "200,100,200"})
    void warmupStepsAreTransformers(String warmupSteps, long total, long expected) {
        assertEquals(expected, training("warmup_steps", warmupSteps).warmupSteps(total));
    }

    @Test
    void warmupRatioIsUsedUnlessStepsAreGiven() {
        assertEquals(3, training("seed", "1").warmupSteps(100)); // the default ratio, 0.03
        assertEquals(20, training("warmup_ratio", "0.2").warmupSteps(100));
        assertEquals(100, training("warmup_ratio", "1").warmupSteps(100));
        assertEquals(0, training("warmup_steps", "0").warmupSteps(100));
        InputException error = assertThrows(InputException.class, () -> training("warmup_steps", "1.5"));
        assertTrue(
                error.getMessage().startsWith("setting 'warmup_steps' (given) is 1.5, must be a whole"),
                error::getMessage);
    }

    @Test
    void aSettingMeansTheSameInEveryCommand() {
        for (Class<? extends Record> command :
                List.of(EvalSettings.class, GenerateSettings.class, ReportSettings.class)) {
            for (SettingsField field : SettingsSchema.of(command).fields()) {
                RUN.find(field.name()).ifPresent(inTrain -> {
                    assertEquals(inTrain.defaultText(), field.defaultText(), field.name());
                    assertEquals(inTrain.aliases(), field.aliases(), field.name());
                    assertEquals(inTrain.type(), field.type(), field.name());
                });
            }
        }
    }

    @Test
    void generateTakesExactlyOnePrompt() {
        SettingsSchema<GenerateSettings> schema = SettingsSchema.of(GenerateSettings.class);
        assertEquals(
                256,
                schema.bind(Map.of("model", "m", "prompt", "hi")).sampling().maxNewTokens());
        assertThrows(InputException.class, () -> schema.bind(Map.of("model", "m")));
        assertThrows(InputException.class, () -> schema.bind(Map.of("model", "m", "prompt", "a", "instruction", "b")));
        assertThrows(InputException.class, () -> schema.bind(Map.of("model", "m", "prompt", "a", "input", "b")));
    }

    @Test
    void aRecordThatNoTextCanFillIsRefused() {
        record Wrong(@Setting(doc = "x") Thread thread) {}
        record Twice(
                @Setting(doc = "x", value = "1") int a,

                @Setting(doc = "y", value = "1", aliases = "a")
                int b) {}
        assertThrows(IllegalArgumentException.class, () -> SettingsSchema.of(Wrong.class));
        assertThrows(IllegalArgumentException.class, () -> SettingsSchema.of(Twice.class));
    }

    private static TrainingSettings training(String name, String value) {
        Map<String, String> given = new HashMap<>(Map.of("model", "m", "train_file", "t", "output_dir", "o"));
        given.put(name, value);
        return RUN.bind(given).training();
    }

    private static SettingValue flag(String name, String... texts) {
        return new SettingValue(name, List.of(texts), "--" + name.replace('_', '-'));
    }

    private static List<SettingValue> with(SettingValue more) {
        return Stream.concat(REQUIRED.stream(), Stream.of(more)).toList();
    }

    private static void assertMessage(String message, String yaml) {
        InputException error =
                assertThrows(InputException.class, () -> RUN.resolve(SettingsFile.parse(yaml, "run.yaml"), List.of()));
        assertEquals(message, error.getMessage());
    }
}
