package org.sftnative.data;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;

/// All that decides what tokens a file's rows become, as one hash: the model's tokenizer files and chat template,
/// the template that the settings name, the settings of rows and of their encoding, the program's own code of this
/// room and of templates, and the file's bytes.
record TokenKey(byte[] settings) {
    /// Files of a model directory that say how text becomes tokens; config.json names special tokens, too.
    private static final List<String> OF_MODEL = List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "generation_config.json",
            "config.json",
            "chat_template.jinja",
            "chat_template.json");

    /// All but the file.
    ///
    /// @param model the tokenizer's directory
    static TokenKey of(Path model, EncodingSettings encoding, RowSettings rows) {
        try {
            MessageDigest sha = sha256();
            boolean dated = false;
            for (String name : OF_MODEL) {
                dated |= add(sha, name, model.resolve(name));
            }
            dated |= add(sha, "template", Path.of(encoding.chatTemplate().orElse("")));
            // a template may write the day into each row
            add(sha, "day", dated ? LocalDate.now().toString() : "");
            add(sha, "encoding", encoding.toString());
            add(sha, "rows", rows.format() + " " + rows.field() + " " + rows.maxBad());
            addProgram(sha);
            return new TokenKey(sha.digest());
        } catch (IOException e) {
            throw new InputException("cannot read " + model + ": " + Json.reason(e), e);
        }
    }

    /// With a file's bytes.
    ///
    /// @throws InputException if it cannot be read
    byte[] of(Path file) {
        MessageDigest sha = sha256();
        sha.update(settings);
        String name = file.getFileName().toString();
        sha.update((byte) (name.matches("(?i).*\\.csv(\\.gz)?") ? 1 : 0)); // of a name, nothing else counts
        try (InputStream bytes = Files.newInputStream(file)) {
            byte[] piece = new byte[1 << 16];
            for (int n = bytes.read(piece); n >= 0; n = bytes.read(piece)) {
                sha.update(piece, 0, n);
            }
        } catch (IOException e) {
            throw new InputException("cannot read " + file + ": " + Json.reason(e), e);
        }
        return sha.digest();
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private static void add(MessageDigest sha, String name, String text) {
        sha.update((name + "\0" + text.length() + "\0" + text).getBytes(StandardCharsets.UTF_8));
    }

    /// @return whether the file asks for the date
    private static boolean add(MessageDigest sha, String name, Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            add(sha, name, "none");
            return false;
        }
        String text = Files.readString(file, StandardCharsets.ISO_8859_1);
        add(sha, name, text);
        return text.contains("strftime_now") && !name.equals("tokenizer.json");
    }

    /// The program's classes that make tokens of rows, and the library's version: what another version of either
    /// made is never used.
    private static void addProgram(MessageDigest sha) throws IOException {
        try (InputStream library = TokenKey.class.getResourceAsStream("/native/lib/tokenizers.properties")) {
            sha.update(library == null ? new byte[0] : library.readAllBytes());
        }
        try {
            URI place = TokenKey.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI();
            Path root = Path.of(place);
            if (Files.isDirectory(root)) {
                addClasses(sha, root);
            } else {
                try (FileSystem jar = FileSystems.newFileSystem(root, Map.of())) {
                    addClasses(sha, jar.getPath("/"));
                }
            }
        } catch (URISyntaxException e) {
            throw new IllegalStateException("a code source that is no URI", e);
        }
    }

    private static void addClasses(MessageDigest sha, Path root) throws IOException {
        for (String room : List.of("data", "template")) {
            try (Stream<Path> files = Files.walk(root.resolve("org/sftnative").resolve(room))) {
                files.filter(Files::isRegularFile).sorted().forEach(file -> {
                    try {
                        sha.update(Files.readAllBytes(file));
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                });
            }
        }
    }
}
