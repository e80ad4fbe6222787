package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;

class ManifestTest {
    @TempDir
    Path dir;

    @BeforeEach
    void write() throws IOException {
        Files.writeString(dir.resolve("a"), "some bytes");
        Files.writeString(dir.resolve("b"), "");
        Manifest.write(dir, Map.of("step", "3"));
    }

    @Test
    void whatWasWrittenVerifies() {
        assertEquals(Optional.empty(), Manifest.fault(dir));
    }

    @Test
    void everyChangeOfAFileIsFound() throws IOException {
        Files.writeString(dir.resolve("a"), "some bytez");
        assertEquals(Optional.of("a was changed"), Manifest.fault(dir));
        Files.writeString(dir.resolve("a"), "some byte");
        assertEquals(Optional.of("a has 9 bytes, had 10"), Manifest.fault(dir));
        Files.writeString(dir.resolve("a"), "");
        assertEquals(Optional.of("a has 0 bytes, had 10"), Manifest.fault(dir));
        Files.delete(dir.resolve("a"));
        assertEquals(Optional.of("a is missing"), Manifest.fault(dir));
        Files.writeString(dir.resolve("a"), "some bytes");
        Files.writeString(dir.resolve("c"), "");
        assertEquals(Optional.of("c was added"), Manifest.fault(dir));
    }

    @Test
    void aManifestThatIsMissingOrCutShortIsAFault() throws IOException {
        Path manifest = dir.resolve(Manifest.NAME);
        String whole = Files.readString(manifest);
        for (int length = 0; length < whole.stripTrailing().length(); length += 7) {
            Files.writeString(manifest, whole.substring(0, length));
            assertTrue(Manifest.fault(dir).isPresent(), "cut to " + length);
        }
        Files.writeString(manifest, "{\"format_version\": 1, \"files\": []}");
        assertEquals(Optional.of("its MANIFEST.json is no manifest"), Manifest.fault(dir));
        Files.delete(manifest);
        assertEquals(Optional.of("it has no MANIFEST.json"), Manifest.fault(dir));
    }

    @Test
    void aNewerFormatIsRefusedAndNotTakenForDamage() throws IOException {
        Path manifest = dir.resolve(Manifest.NAME);
        Files.writeString(
                manifest, Files.readString(manifest).replace("\"format_version\": 1", "\"format_version\": 2"));
        InputException e = assertThrows(InputException.class, () -> Manifest.fault(dir));
        assertTrue(e.getMessage().contains("format version 2, this program reads 1"), e.getMessage());
    }
}
