package org.sftnative.kernels;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Supplier;

/// Compiled kernels on disk. An entry's name is the sha256 of all that decides its bytes (source, options with the
/// architecture, NVRTC's version); the file is the sha256 of the cubin, then the cubin, so that a damaged entry is seen
/// and compiled again. Entries are written beside and renamed, so that processes may share a folder. A folder that
/// cannot be written to costs a compilation per start and nothing else.
final class CubinCache {
    private static final int DIGEST_BYTES = 32;
    private final Path folder;

    CubinCache(Path folder) {
        this.folder = folder;
    }

    /// `$XDG_CACHE_HOME/sft-native/kernels`, by default `~/.cache/sft-native/kernels`.
    static CubinCache ofUser() {
        String xdg = System.getenv().getOrDefault("XDG_CACHE_HOME", "");
        Path base = xdg.isBlank() ? Path.of(System.getProperty("user.home", "."), ".cache") : Path.of(xdg);
        return new CubinCache(base.resolve("sft-native").resolve("kernels"));
    }

    /// The cubin of an entry, compiled if it is not there or not whole.
    byte[] get(String source, List<String> options, String nvrtcVersion, Supplier<byte[]> compile) {
        Path entry = folder.resolve(key(source, options, nvrtcVersion) + ".cubin");
        byte[] stored = read(entry);
        if (stored.length > 0) {
            return stored;
        }
        byte[] cubin = compile.get();
        write(entry, cubin);
        return cubin;
    }

    static String key(String source, List<String> options, String nvrtcVersion) {
        MessageDigest digest = sha256();
        for (String part : List.of(nvrtcVersion, String.join("\n", options), source)) {
            digest.update(part.getBytes(StandardCharsets.UTF_8));
            digest.update((byte) 0);
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /// Empty if there is no whole entry.
    private static byte[] read(Path entry) {
        byte[] none = {};
        try {
            byte[] file = Files.readAllBytes(entry);
            if (file.length <= DIGEST_BYTES) {
                return none;
            }
            byte[] cubin = Arrays.copyOfRange(file, DIGEST_BYTES, file.length);
            boolean whole = MessageDigest.isEqual(sha256().digest(cubin), Arrays.copyOf(file, DIGEST_BYTES));
            return whole ? cubin : none;
        } catch (IOException e) {
            return none;
        }
    }

    private void write(Path entry, byte[] cubin) {
        try {
            Files.createDirectories(folder);
            Path beside = Files.createTempFile(folder, "cubin", ".tmp");
            try {
                byte[] file = Arrays.copyOf(sha256().digest(cubin), DIGEST_BYTES + cubin.length);
                System.arraycopy(cubin, 0, file, DIGEST_BYTES, cubin.length);
                Files.write(beside, file);
                Files.move(beside, entry, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(beside);
            }
        } catch (IOException | UncheckedIOException e) {
            // the cache saves time; a read-only home must not stop a run
            return;
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
