package org.sftnative.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;

class SettingsFileTest {
    private static final SettingsSchema<RunSettings> RUN = SettingsSchema.of(RunSettings.class);

    @TempDir
    Path dir;

    @Test
    void valuesKeepTheirTextAndTheirLine() {
        assertEquals(
                List.of(
                        new SettingValue("a", List.of("no"), "f:1"),
                        new SettingValue("b", List.of("x", "y z"), "f:2"),
                        new SettingValue("c", List.of(), "f:5"),
                        new SettingValue("d", List.of("null"), "f:6"),
                        new SettingValue("e", List.of("no"), "f:7")),
                SettingsFile.parse("a: &n no\nb:\n  - x\n  - y z\nc: ~\nd: 'null'\ne: *n\n", "f"));
    }

    @Test
    void emptyFileIsNoSettings() {
        assertEquals(List.of(), SettingsFile.parse("", "f"));
        assertEquals(List.of(), SettingsFile.parse("# nothing yet\n", "f"));
    }

    @Test
    void duplicateKeyIsRefusedWithBothLines() {
        assertEquals(
                "setting 'lr' is given twice: f:1 and f:3\n  keep one of them", refusal("lr: 1\nseed: 2\nlr: 3\n"));
    }

    @Test
    void brokenYamlIsRefusedWithItsLine() {
        assertTrue(refusal("lr: 1\nseed: [1, 2\n").startsWith("f:3 is not valid YAML: "), () -> refusal("lr: [1\n"));
        assertTrue(refusal("lr: 1\n\tseed: 2\n").startsWith("f:2 is not valid YAML: "));
        assertEquals("f is a list, must be a mapping\n  write lines like learning_rate: 2e-5", refusal("- a\n- b\n"));
        assertEquals("f:3 starts a second document\n  keep one", refusal("lr: 1\n---\nlr: 2\n"));
        assertEquals(
                "setting 'training' (f:1) is a mapping\n  settings are flat: name: value",
                refusal("training:\n  lr: 1\n"));
        assertEquals(
                "setting 'train_file' (f:1) has a list element that is a mapping", refusal("train_file: [{a: b}]"));
        assertTrue(refusal("a: " + "[".repeat(500_000)).contains("is not valid YAML"));
        assertEquals("f:1 has a key that is a list", refusal("? [a, b]\n: 1\n"));
    }

    @Test
    void unreadableFilesAreRefused() throws Exception {
        Path missing = dir.resolve("none.yaml");
        assertEquals(
                "settings file " + missing + " does not exist",
                assertThrows(InputException.class, () -> SettingsFile.read(missing))
                        .getMessage());
        assertThrows(InputException.class, () -> SettingsFile.read(dir));
        Path binary = Files.write(dir.resolve("b.yaml"), new byte[] {'a', ':', ' ', (byte) 0xff});
        assertEquals(
                "settings file " + binary + " is not UTF-8 text",
                assertThrows(InputException.class, () -> SettingsFile.read(binary))
                        .getMessage());
        Path large = Files.write(dir.resolve("l.yaml"), new byte[(1 << 20) + 1]);
        assertEquals(
                large + " is larger than 1 MiB: not a settings file",
                assertThrows(InputException.class, () -> SettingsFile.read(large))
                        .getMessage());
    }

    /// Names that YAML could take for something else.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "plain/name.json",
                "a b",
                " lead",
                "tail ",
                "it's",
                "say \"hi\"",
                "back\\slash",
                "# no",
                "a: b",
                "a:",
                "null",
                "~",
                "true",
                "-",
                "- x",
                "{a}",
                "[b]",
                "*c",
                "&d",
                "!e",
                "%f",
                "@g",
                "中文 数据.json",
                "😀",
                "x\ty",
                "l\nm",
                "\u0085\u00a0\u2028",
                "1e3"
            })
    void printedSettingsAreReadBackAsTheyWere(String text) throws Exception {
        List<SettingValue> given = List.of(
                new SettingValue("model", List.of(text), "--model"),
                new SettingValue("train_file", List.of(text, "b.json"), "--train-file"),
                new SettingValue("output_dir", List.of("out"), "--output-dir"),
                new SettingValue("resume", List.of(text), "--resume"),
                new SettingValue("learning_rate", List.of("1e-3"), "run.yaml:4"),
                new SettingValue("precision", List.of("bf16_autocast"), "--precision"),
                new SettingValue("warmup_steps", List.of("0.1"), "--warmup-steps"),
                new SettingValue("shuffle", List.of("false"), "--no-shuffle"));
        ResolvedSettings resolved = RUN.resolve(given);
        Path file = Files.writeString(dir.resolve("run.yaml"), SettingsPrinter.yaml(RUN, resolved));
        assertEquals(RUN.bind(resolved), RUN.bind(RUN.resolve(SettingsFile.read(file))));
    }

    @Test
    void printingShowsOriginsAndWhatIsMissing() {
        String yaml =
                SettingsPrinter.yaml(RUN, RUN.resolve(List.of(new SettingValue("lr", List.of("1e-3"), "run.yaml:4"))));
        assertTrue(yaml.contains("\nlearning_rate: 1e-3  # run.yaml:4\n"), yaml);
        assertTrue(yaml.contains("\n# train_file:  # required: rows to train on"), yaml);
        assertTrue(yaml.contains("\n# eval_file:  # rows to evaluate on\n"), yaml);
        assertTrue(yaml.contains("\nadam_epsilon: 1e-8\n"), yaml);
    }

    private static String refusal(String yaml) {
        return assertThrows(InputException.class, () -> SettingsFile.parse(yaml, "f"))
                .getMessage();
    }
}
