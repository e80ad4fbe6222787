package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;

/// What a run may meet in its output directory before it has written anything.
class OutputDirectoryTest {
    @TempDir
    Path dir;

    @Test
    void whatARunLeavesThatIsKilledAtItsStartIsInNobodysWay() throws IOException {
        Files.createFile(dir.resolve(".lock"));
        Files.createDirectories(dir.resolve(".tmp-checkpoint-0"));
        Files.createDirectories(dir.resolve(".trash-checkpoint-12"));
        new OutputDirectory(dir).check(false, "-");
        Files.createFile(dir.resolve(".hidden"));
        assertThrows(InputException.class, () -> new OutputDirectory(dir).check(false, "-"));
    }

    @Test
    void aLockThatIsALinkIsRefusedAndItsTargetStays() throws IOException {
        Path precious = Files.writeString(dir.resolve("precious"), "mine");
        Files.createSymbolicLink(dir.resolve(".lock"), precious);
        assertThrows(UncheckedIOException.class, () -> RunLock.acquire(dir));
        assertEquals("mine", Files.readString(precious));
        Files.delete(dir.resolve(".lock"));
        RunLock.acquire(dir).close(); // what failed holds nothing
    }

    @Test
    void aFolderThatIsCalledStopOrSaveAsksForNothing() throws IOException {
        Files.createDirectories(dir.resolve("save/of/mine"));
        Files.createDirectories(dir.resolve("stop"));
        RunControl control = new RunControl();
        assertEquals(List.of(), control.forgetOld(dir));
        assertEquals(RunControl.Request.NONE, control.request(Optional.of(dir)));
        assertEquals(true, Files.isDirectory(dir.resolve("stop")));
        Files.createFile(Files.createDirectories(dir.resolve("other")).resolve("save"));
        assertEquals(RunControl.Request.SAVE, control.request(Optional.of(dir.resolve("other"))));
    }
}
