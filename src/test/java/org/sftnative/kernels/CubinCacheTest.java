package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CubinCacheTest {
    @TempDir
    Path folder;

    private final AtomicInteger compilations = new AtomicInteger();

    private byte[] get(Path where) {
        return new CubinCache(where).get("source", List.of("-a"), "13.0", () -> {
            compilations.incrementAndGet();
            return new byte[] {1, 2, 3, 4};
        });
    }

    private Path entry() throws IOException {
        try (var files = Files.list(folder)) {
            List<Path> all = files.toList();
            assertEquals(1, all.size(), "the entry and nothing beside it");
            return all.getFirst();
        }
    }

    @Test
    void aCubinIsCompiledOnce() throws IOException {
        assertArrayEquals(new byte[] {1, 2, 3, 4}, get(folder));
        assertArrayEquals(new byte[] {1, 2, 3, 4}, get(folder));
        assertEquals(1, compilations.get());
        entry();
    }

    @Test
    void aDamagedEntryIsCompiledAgainAndMended() throws IOException {
        get(folder);
        byte[] whole = Files.readAllBytes(entry());
        byte[] flipped = whole.clone();
        flipped[flipped.length - 1] ^= 1;
        for (byte[] damage : List.of(flipped, java.util.Arrays.copyOf(whole, whole.length - 1), new byte[0])) {
            Files.write(entry(), damage);
            int before = compilations.get();
            assertArrayEquals(new byte[] {1, 2, 3, 4}, get(folder));
            assertEquals(before + 1, compilations.get());
            assertArrayEquals(whole, Files.readAllBytes(entry()));
        }
    }

    @Test
    void aFolderThatCannotBeWrittenCostsACompilationOnly() throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        assertArrayEquals(new byte[] {1, 2, 3, 4}, get(file.resolve("below")));
        assertArrayEquals(new byte[] {1, 2, 3, 4}, get(file.resolve("below")));
        assertEquals(2, compilations.get());
    }

    @Test
    void sourceOptionsAndCompilerAllNameTheEntry() {
        String key = CubinCache.key("s", List.of("-a", "-b"), "13.0");
        assertNotEquals(key, CubinCache.key("t", List.of("-a", "-b"), "13.0"));
        assertNotEquals(key, CubinCache.key("s", List.of("-a", "-c"), "13.0"));
        assertNotEquals(key, CubinCache.key("s", List.of("-a", "-b"), "13.1"));
        assertEquals(64, key.length());
    }
}
