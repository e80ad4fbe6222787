package org.sftnative.data;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.DigestOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.sftnative.InputException;
import org.sftnative.io.AtomicFiles;

/// Tokenised files on disk. An entry's name is its key: the SHA-256 of all that decides what is in it ([TokenKey]).
/// The file, all big-endian: `SFTTOK01`, the key (32 bytes), the format and how it was told (UTF-8 behind their
/// lengths), the number of rows; of each row its number, 16 bytes of content hash, 1 if it was truncated, the number
/// of documents; of each document its length, the number of its runs, the runs' lengths (not trained and trained in
/// turn), the token ids; at last the SHA-256 of everything before. A file that is not whole is never trusted.
/// Entries are there whole or not at all, so that processes may share a folder; any may be deleted at any time.
final class TokenCache {
    private static final byte[] MAGIC = "SFTTOK01".getBytes(StandardCharsets.US_ASCII);
    private static final int DIGEST = 32;

    private final Path folder;
    private final Consumer<String> say;

    /// @param say hears, in one line, of an entry or a folder that cannot be used
    TokenCache(Path folder, Consumer<String> say) {
        this.folder = folder;
        this.say = say;
    }

    /// `$XDG_CACHE_HOME/sft-native/tokens`, by default `~/.cache/sft-native/tokens`.
    static Path folderOfUser() {
        String xdg = System.getenv().getOrDefault("XDG_CACHE_HOME", "");
        Path base = xdg.isBlank() ? Path.of(System.getProperty("user.home", "."), ".cache") : Path.of(xdg);
        return base.resolve("sft-native").resolve("tokens");
    }

    /// An entry; empty if it is not there, or damaged, which is said.
    Optional<EncodedFile> read(byte[] key) {
        Path entry = entry(key);
        try {
            if (!Files.exists(entry)) {
                return Optional.empty();
            }
            try (InputStream bytes = new BufferedInputStream(Files.newInputStream(entry), 1 << 16)) {
                return Optional.of(decoded(bytes, Files.size(entry), key));
            }
        } catch (NoSuchFileException _) {
            return Optional.empty();
        } catch (IOException | IllegalArgumentException e) {
            String why = e instanceof EOFException ? "it is cut off" : e.getMessage();
            say.accept("token cache: " + entry + " is damaged (" + why + "): tokenising anew");
            return Optional.empty();
        }
    }

    /// Keeps an entry; where that cannot be done, says so and goes on.
    void write(byte[] key, EncodedFile file) {
        try {
            Files.createDirectories(folder);
            AtomicFiles.write(entry(key), channel -> {
                OutputStream bytes = new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 16);
                encode(bytes, key, file);
                bytes.flush();
            });
        } catch (IOException | UncheckedIOException | InputException e) {
            say.accept("token cache: " + folder + " cannot be written to ("
                    + (e instanceof IOException io
                            ? Json.reason(io)
                            : e.getMessage().lines().findFirst().orElse(""))
                    + "): rows are tokenised again each time; choose another with --cache-dir");
        }
    }

    private Path entry(byte[] key) {
        return folder.resolve(HexFormat.of().formatHex(key) + ".tokens");
    }

    private static void encode(OutputStream bytes, byte[] key, EncodedFile file) throws IOException {
        DigestOutputStream hashed = new DigestOutputStream(bytes, TokenKey.sha256());
        DataOutputStream out = new DataOutputStream(hashed);
        out.write(MAGIC);
        out.write(key);
        text(out, file.format());
        text(out, file.detected());
        out.writeInt(file.rows().size());
        for (EncodedRow row : file.rows()) {
            out.writeInt(row.row());
            out.writeLong(row.hash().high());
            out.writeLong(row.hash().low());
            out.writeByte(row.truncated() ? 1 : 0);
            out.writeInt(row.documents().size());
            for (Document document : row.documents()) {
                int[] ids = document.inputIds();
                List<Integer> runs = runs(document);
                out.writeInt(ids.length);
                out.writeInt(runs.size());
                for (int run : runs) {
                    out.writeInt(run);
                }
                for (int id : ids) {
                    out.writeInt(id);
                }
            }
        }
        bytes.write(hashed.getMessageDigest().digest());
    }

    private static void text(DataOutputStream out, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    /// Lengths of stretches with equal treatment; the first is not trained and may be empty.
    private static List<Integer> runs(Document document) {
        List<Integer> runs = new ArrayList<>();
        boolean trained = false;
        int start = 0;
        int[] labels = document.labels();
        for (int i = 0; i < labels.length; i++) {
            if ((labels[i] != Document.IGNORED) != trained) {
                runs.add(i - start);
                start = i;
                trained = !trained;
            }
        }
        runs.add(labels.length - start);
        return runs;
    }

    private static EncodedFile decoded(InputStream bytes, long size, byte[] key) throws IOException {
        DigestInputStream hashed = new DigestInputStream(bytes, TokenKey.sha256());
        DataInputStream in = new DataInputStream(hashed);
        long most = size / 4; // of anything that takes 4 bytes or more
        require(Arrays.equals(in.readNBytes(MAGIC.length), MAGIC), "not an entry of this version");
        require(Arrays.equals(in.readNBytes(DIGEST), key), "another key inside");
        String format = text(in, size);
        String detected = text(in, size);
        int count = length(in, most);
        List<EncodedRow> rows = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            int row = in.readInt();
            ContentHash hash = new ContentHash(in.readLong(), in.readLong());
            boolean truncated = in.readByte() != 0;
            List<Document> documents = new ArrayList<>(1);
            for (int left = length(in, most); left > 0; left--) {
                documents.add(document(in, row, most));
            }
            rows.add(new EncodedRow(row, hash, documents, truncated));
        }
        byte[] digest = hashed.getMessageDigest().digest();
        hashed.on(false);
        require(Arrays.equals(in.readNBytes(DIGEST), digest), "the checksum differs");
        require(in.read() < 0, "it goes on after its end");
        return new EncodedFile(format, detected, rows);
    }

    private static Document document(DataInputStream in, int row, long most) throws IOException {
        int[] ids = new int[length(in, most)];
        int[] labels = new int[ids.length];
        int[] runs = new int[length(in, most)];
        for (int i = 0; i < runs.length; i++) {
            runs[i] = length(in, most);
        }
        for (int i = 0; i < ids.length; i++) {
            ids[i] = in.readInt();
        }
        int at = 0;
        for (int i = 0; i < runs.length; i++) {
            require(runs[i] <= ids.length - at, "runs longer than their document");
            if (i % 2 == 0) {
                Arrays.fill(labels, at, at + runs[i], Document.IGNORED);
            } else {
                System.arraycopy(ids, at, labels, at, runs[i]);
            }
            at += runs[i];
        }
        require(at == ids.length, "runs shorter than their document");
        return new Document(row, ids, labels);
    }

    private static String text(DataInputStream in, long size) throws IOException {
        return new String(in.readNBytes(length(in, size)), StandardCharsets.UTF_8);
    }

    private static int length(DataInputStream in, long most) throws IOException {
        int length = in.readInt();
        require(length >= 0 && length <= most, "a length that the file cannot have");
        return length;
    }

    private static void require(boolean holds, String what) throws IOException {
        if (!holds) {
            throw new IOException(what);
        }
    }
}
