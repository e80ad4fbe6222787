package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.sftnative.InputException;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;

/// Files to documents, on all cores, or out of the cache. The result is the same for any number of cores, and the
/// same from the cache.
final class Tokenisation {
    /// Rows are read in pieces of this many, so that text never fills the memory while all cores tokenise.
    private static final int PIECE = 4096;

    private final RowSettings settings;
    private final Optional<String> chatTemplate;
    private final Encoder encoder;
    private final Optional<TokenCache> cache;
    private final Optional<TokenKey> key;
    private final Consumer<String> say;

    /// @param say hears what a person should know, a line each: formats, a cache that cannot be used
    Tokenisation(
            Tokenizer tokenizer, Encoder encoder, EncodingSettings encoding, RowSettings rows, Consumer<String> say) {
        this.settings = rows;
        this.chatTemplate = encoding.chatTemplate();
        this.encoder = encoder;
        this.say = say;
        cache = rows.tokenCache()
                ? Optional.of(new TokenCache(rows.cacheDir().orElseGet(TokenCache::folderOfUser), say))
                : Optional.empty();
        key = cache.map(_ -> TokenKey.of(tokenizer, encoding, rows));
    }

    /// Reads a file. An entry is kept only if no row was broken: skipped rows are told each time.
    ///
    /// @param bad counts broken rows
    /// @throws InputException if the file is broken, or one row too many
    EncodedFile read(Path file, BadRows bad) {
        Optional<byte[]> name = key.map(k -> k.of(file));
        Optional<EncodedFile> kept = name.flatMap(n -> cache.orElseThrow().read(n));
        int badBefore = bad.messages().size();
        EncodedFile read = kept.orElseGet(() -> encode(file, bad));
        say.accept(file + ": " + read.detected());
        if (kept.isEmpty() && name.isPresent() && bad.messages().size() == badBefore) {
            cache.orElseThrow().write(name.get(), read);
        }
        return read;
    }

    /// @param row empty if the row cannot be encoded, for the reason `bad`
    private record Tried(Optional<EncodedRow> row, Optional<InputException> bad) {}

    private EncodedFile encode(Path file, BadRows bad) {
        List<EncodedRow> rows = new ArrayList<>();
        try (ExampleSource source = ExampleSource.open(file, settings, chatTemplate, bad)) {
            while (source.hasNext()) {
                List<ExampleSource.Item> piece = new ArrayList<>(PIECE);
                while (piece.size() < PIECE && source.hasNext()) {
                    piece.add(source.next());
                }
                List<Tried> done = piece.parallelStream().map(this::encode).toList(); // in the order of the piece
                for (Tried tried : done) {
                    tried.bad().ifPresent(bad::add);
                    tried.row().ifPresent(rows::add);
                }
            }
            return new EncodedFile(
                    source.format().map(f -> f.choice().toString()).orElse("none"), source.reason(), rows);
        }
    }

    private Tried encode(ExampleSource.Item item) {
        try {
            Encoder.Encoded encoded = encoder.encode(item.row(), item.example());
            return new Tried(
                    Optional.of(new EncodedRow(
                            item.row(), ContentHash.of(item.example()), encoded.documents(), encoded.truncated())),
                    Optional.empty());
        } catch (InputException e) {
            return new Tried(
                    Optional.empty(),
                    Optional.of(new InputException(item.file() + ", row " + item.row() + ": " + e.getMessage(), e)));
        }
    }
}
