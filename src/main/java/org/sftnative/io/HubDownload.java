package org.sftnative.io;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Fetches one file: goes on where an earlier attempt stopped, verifies size and hash of what lies
/// on the disk, and only then gives it its name.
final class HubDownload {
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final Pattern GIT_SHA1 = Pattern.compile("[0-9a-f]{40}");
    private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d+)-(\\d+)/(\\d+|\\*)");
    private static final int BUFFER = 1 << 18;

    private final HubHttp http;
    private final HubSettings settings;
    private final HubListener listener;

    HubDownload(HubHttp http, HubSettings settings, HubListener listener) {
        this.http = http;
        this.settings = settings;
        this.listener = listener;
    }

    /// What the Hub says of a file.
    ///
    /// @param file its name in the repository
    /// @param address where it is fetched from
    /// @param etag hash of its content: SHA-256 of an LFS file, git's SHA-1 of another; or, where neither
    /// the file nor the list has one, what a mirror says instead
    /// @param size bytes, where the Hub says so
    record Wanted(HubName name, String file, URI address, String etag, OptionalLong size) {
        @Override
        public String toString() {
            return name + ": " + file;
        }
    }

    /// Fetches a file, unless another process has done so by the time the lock is free.
    ///
    /// @return where it is
    /// @throws HubException if it cannot be had whole
    Path fetch(Wanted wanted, HubCache cache) {
        Path blob = cache.blob(wanted.etag());
        try {
            Files.createDirectories(blob.getParent());
            try (FileChannel _ = cache.lock(wanted.etag())) {
                if (!isThere(blob, wanted)) {
                    fetchLocked(wanted, cache.incomplete(wanted.etag()), blob);
                }
            }
            listener.finished(wanted.file(), Files.size(blob));
            return blob;
        } catch (IOException e) {
            throw onDisk(wanted, e);
        }
    }

    /// Whether a blob of the right size is there. Its hash was verified when it came.
    static boolean isThere(Path blob, Wanted wanted) throws IOException {
        return Files.isRegularFile(blob)
                && (wanted.size().isEmpty() || wanted.size().getAsLong() == Files.size(blob));
    }

    private static HubException onDisk(Wanted wanted, IOException e) {
        return new HubException(
                wanted + " cannot be written: " + e.getMessage()
                        + "\n  make room, or set HF_HUB_CACHE to another disk; what has come is kept",
                e);
    }

    private void fetchLocked(Wanted wanted, Path incomplete, Path blob) throws IOException {
        boolean again = false;
        while (true) {
            complete(wanted, incomplete);
            Optional<String> wrong = check(wanted, incomplete);
            if (wrong.isEmpty()) {
                break;
            }
            listener.received(-HubCache.size(incomplete));
            Files.deleteIfExists(incomplete);
            if (again) {
                throw new HubException(wanted + " is damaged: " + wrong.get()
                        + "\n  the server, or a proxy on the way, gives other bytes"
                        + " than the Hub's: try another network or another HF_ENDPOINT");
            }
            listener.said(wanted + ": " + wrong.get() + "; fetching it again");
            again = true;
        }
        Files.move(incomplete, blob, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        Disk.syncDirectory(blob.getParent());
    }

    /// Fetches until nothing is missing. Attempts are counted anew whenever bytes have come.
    private void complete(Wanted wanted, Path incomplete) throws IOException {
        while (true) {
            long before = HubCache.size(incomplete);
            try {
                http.insist(wanted.toString(), listener, () -> {
                    if (part(wanted, incomplete)) {
                        return true;
                    }
                    throw new HubHttp.Passing("the connection ended early", Optional.empty());
                });
                return;
            } catch (HubException e) {
                boolean network = e.getCause() instanceof IOException;
                if (!network || HubCache.size(incomplete) <= before) {
                    throw e;
                }
            }
        }
    }

    /// One request.
    ///
    /// @return whether the file is complete
    private boolean part(Wanted wanted, Path incomplete) throws IOException {
        long have = HubCache.size(incomplete);
        long size = wanted.size().orElse(Long.MAX_VALUE);
        if (have == size) {
            open(incomplete, have, wanted).close(); // an empty file is there, too
            return true;
        }
        if (have > size) {
            Files.delete(incomplete);
            have = 0;
        }
        try (HubHttp.Answer answer = http.get(wanted.address(), have)) {
            switch (answer.status()) {
                case 206 -> {
                    if (!isRange(answer, have, wanted.size())) {
                        throw anew(incomplete, have, "the server gives another part than was asked for");
                    }
                }
                case 200 -> {
                    listener.received(-have);
                    have = 0; // the server knows no ranges
                }
                case 416 -> throw anew(incomplete, have, "the server has no such part (416)");
                default -> throw http.refusal(answer, wanted.name(), wanted.file());
            }
            return copy(answer.body(), incomplete, have, size, wanted);
        }
    }

    private HubHttp.Passing anew(Path incomplete, long have, String why) throws IOException {
        Files.deleteIfExists(incomplete);
        listener.received(-have);
        return new HubHttp.Passing(why, Optional.empty());
    }

    private static boolean isRange(HubHttp.Answer answer, long have, OptionalLong size) {
        Matcher range = CONTENT_RANGE.matcher(answer.header("Content-Range").orElse(""));
        return range.matches()
                && range.group(1).equals(Long.toString(have))
                && (range.group(3).equals("*")
                        || size.isEmpty()
                        || range.group(3).equals(Long.toString(size.getAsLong())));
    }

    private boolean copy(InputStream body, Path incomplete, long from, long size, Wanted wanted) throws IOException {
        byte[] buffer = new byte[BUFFER];
        AtomicLong done = new AtomicLong(from);
        try (FileChannel channel = open(incomplete, from, wanted);
                Watch watch = new Watch(body, done)) {
            while (true) {
                int read = watch.read(buffer);
                if (read < 0) {
                    break;
                }
                if (done.get() + read > size) {
                    throw anew(incomplete, done.get(), "more bytes came than the " + size + " that the file has");
                }
                write(channel, ByteBuffer.wrap(buffer, 0, read), wanted);
                done.addAndGet(read);
                listener.received(read);
            }
            force(channel, wanted);
        }
        return wanted.size().isEmpty() || done.get() == size;
    }

    private static FileChannel open(Path incomplete, long from, Wanted wanted) {
        try {
            FileChannel channel = FileChannel.open(incomplete, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            return channel.truncate(from).position(from);
        } catch (IOException e) {
            throw new HubException(onDisk(wanted, e).getMessage());
        }
    }

    private static void write(FileChannel channel, ByteBuffer bytes, Wanted wanted) {
        try {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (IOException e) {
            throw new HubException(onDisk(wanted, e).getMessage()); // the disk's failure is no reason to try again
        }
    }

    private static void force(FileChannel channel, Wanted wanted) {
        try {
            channel.force(true);
        } catch (IOException e) {
            throw new HubException(onDisk(wanted, e).getMessage());
        }
    }

    /// What is wrong with a complete file.
    private static Optional<String> check(Wanted wanted, Path file) throws IOException {
        long size = Files.size(file);
        if (wanted.size().isPresent() && size != wanted.size().getAsLong()) {
            return Optional.of("it has " + size + " bytes, not " + wanted.size().getAsLong());
        }
        String etag = wanted.etag();
        if (SHA256.matcher(etag).matches()) {
            return differing("SHA-256", hash("SHA-256", new byte[0], file), etag);
        }
        if (GIT_SHA1.matcher(etag).matches()) {
            byte[] prefix = ("blob " + size + "\0").getBytes(StandardCharsets.US_ASCII);
            return differing("git's SHA-1", hash("SHA-1", prefix, file), etag);
        }
        return Optional.empty();
    }

    /// Whether a file's hash is known before it comes.
    static boolean isHash(String etag) {
        return SHA256.matcher(etag).matches() || GIT_SHA1.matcher(etag).matches();
    }

    private static Optional<String> differing(String what, String is, String etag) {
        return is.equals(etag) ? Optional.empty() : Optional.of("its " + what + " is " + is + ", not " + etag);
    }

    private static String hash(String algorithm, byte[] prefix, Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            MessageDigest digest = MessageDigest.getInstance(algorithm);
            digest.update(prefix);
            byte[] buffer = new byte[BUFFER];
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                digest.update(buffer, 0, read);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /// Ends a body that gives nothing for too long: the JDK's client waits forever.
    private final class Watch implements AutoCloseable {
        private final InputStream body;
        private final ScheduledExecutorService clock =
                Executors.newSingleThreadScheduledExecutor(Thread.ofVirtual().factory());
        private final ScheduledFuture<?> ticks;
        private long seen = -1;
        private volatile boolean late;

        Watch(InputStream body, AtomicLong done) {
            this.body = body;
            long millis = settings.timeout().toMillis();
            ticks = clock.scheduleAtFixedRate(
                    () -> {
                        if (seen == done.get()) {
                            late = true;
                            closeBody();
                        }
                        seen = done.get();
                    },
                    millis,
                    millis,
                    TimeUnit.MILLISECONDS);
        }

        int read(byte[] buffer) throws IOException {
            try {
                int read = body.read(buffer);
                if (late) {
                    throw new IOException();
                }
                return read;
            } catch (IOException e) {
                throw late
                        ? new HubHttp.Passing(
                                "nothing came for " + settings.timeout().toSeconds() + " s", Optional.empty())
                        : e;
            }
        }

        private void closeBody() {
            try {
                body.close();
            } catch (IOException e) {
                // the reader fails, too
            }
        }

        @Override
        public void close() {
            ticks.cancel(false);
            clock.shutdownNow();
        }
    }
}
