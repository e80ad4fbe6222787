package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.config.ModelSettings;
import org.sftnative.config.PrecisionChoice;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Tensors;

/// A directory that is taken away while it is read, as a run takes its older checkpoints away: renamed, then deleted.
class LoadedModelTest {
    private static final Path BASE = Path.of("src/test/resources/golden/base");

    @TempDir
    Path dir;

    @Test
    void aDirectoryThatGoesAwayMeanwhileIsToldAsThat() throws IOException {
        Path model = copy();
        InputException error = assertThrows(
                InputException.class,
                () -> LoadedModel.told(List.of(dir, model), () -> {
                    remove(model);
                    return ModelDirectory.open(model);
                }));
        assertTrue(error.getMessage().startsWith(model + " was removed while it was read\n"), error::getMessage);
        assertTrue(error.getMessage().contains("save_total_limit"), error::getMessage);
        // what was never there, and what is wrong with a directory that stays, is said as ever
        error = assertThrows(InputException.class, () -> LoadedModel.open(settings(model)));
        assertTrue(error.getMessage().startsWith("model directory " + model + " does not exist"), error::getMessage);
        error = assertThrows(InputException.class, () -> LoadedModel.open(settings(dir)));
        assertTrue(error.getMessage().startsWith(dir + " has no config.json"), error::getMessage);
    }

    @Test
    void afterOpeningItMayGoBeforeWeightsAreReadAndAfter() throws IOException {
        Path model = copy();
        float[] expected;
        Set<Integer> stops;
        try (LoadedModel whole = LoadedModel.open(settings(BASE));
                Parameters weights = whole.weights()) {
            expected = Tensors.floats(weights.flatWeights());
            stops = whole.stopTokens();
        }
        try (LoadedModel loaded = LoadedModel.open(settings(model))) {
            remove(model);
            try (Parameters weights = loaded.weights()) {
                assertEquals(stops, loaded.stopTokens());
                assertArrayEquals(expected, Tensors.floats(weights.flatWeights()));
            }
        }
    }

    private static ModelSettings settings(Path model) {
        return new ModelSettings(model, "cpu", PrecisionChoice.FP32, 1);
    }

    private Path copy() throws IOException {
        Path to = Files.createDirectory(dir.resolve("checkpoint-4"));
        try (Stream<Path> all = Files.list(BASE)) {
            for (Path file : all.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
        return to;
    }

    private static void remove(Path model) {
        try {
            Path trash = Files.move(model, model.resolveSibling(".trash"));
            try (Stream<Path> all = Files.list(trash)) {
                for (Path file : all.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(trash);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
