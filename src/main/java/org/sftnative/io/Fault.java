package org.sftnative.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A fault at one of the changes of the disk that a process makes, for tests of what is left then: the system property
/// `sftnative.fault` is `kill@N` (the process ends there, without a last word, with status 137), `full@N` or `broken@N`
/// (that change and all later ones fail, as on a full disk or a broken one). Changes are counted from 1; a write does
/// half of its work first.
class Fault {
    static final String PROPERTY = "sftnative.fault";

    private static final Pattern FORM = Pattern.compile("(kill|full|broken)@([1-9]\\d{0,8})");

    private final String kind;
    private final long at;
    private final AtomicLong seen = new AtomicLong();

    Fault(String kind, long at) {
        this.kind = kind;
        this.at = at;
    }

    /// @param text the property's value; empty: no fault ever
    /// @throws IllegalArgumentException if it is neither
    static Fault of(String text) {
        if (text.isEmpty()) {
            return new Fault("", Long.MAX_VALUE);
        }
        Matcher form = FORM.matcher(text);
        if (!form.matches()) {
            throw new IllegalArgumentException(PROPERTY + " is '" + text + "', must be kill@N, full@N or broken@N");
        }
        return new Fault(form.group(1), Long.parseLong(form.group(2)));
    }

    /// Right before a change that cannot be done by half.
    ///
    /// @param change `create`, `sync`, `rename`, `delete` or `directory`
    /// @param path what it is done to; of a renaming, the new name
    void before(String change, Path path) throws IOException {
        if (kind.isEmpty() || seen.incrementAndGet() < at) {
            return;
        }
        strike();
    }

    /// Right before a write.
    void beforeWrite(FileChannel to, ByteBuffer bytes) throws IOException {
        if (kind.isEmpty() || seen.incrementAndGet() < at) {
            return;
        }
        ByteBuffer half = bytes.duplicate();
        half.limit(half.position() + half.remaining() / 2);
        while (half.hasRemaining()) {
            to.write(half);
        }
        strike();
    }

    private void strike() throws IOException {
        switch (kind) {
            case "kill" -> kill();
            case "full" -> throw new IOException("No space left on device");
            default -> throw new IOException("Input/output error");
        }
    }

    /// By the system, as from outside: nothing of this process gets to say a word.
    private static void kill() throws IOException {
        new ProcessBuilder("kill", "-KILL", "" + ProcessHandle.current().pid()).start();
        while (true) {
            LockSupport.park();
        }
    }
}
