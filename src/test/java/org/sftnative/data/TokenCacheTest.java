package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.FormatChoice;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.RowSettings;
import org.sftnative.config.TrainOn;

class TokenCacheTest {
    private static final EncodingSettings ENCODING = EncodingSettings.ofLength(60);

    @TempDir
    Path directory;

    private final List<String> said = new ArrayList<>();

    @Test
    void whatComesBackIsWhatWasKept() throws IOException {
        Path file = rows("a", "the rain ".repeat(40), "天空🙂");
        EncodedFile fresh = read(file, RowSettings.DEFAULT);
        assertEquals(0, fresh.rows().get(1).documents().size()); // dropped: the prompt fills the length
        assertTrue(fresh.rows().get(1).truncated());
        EncodedFile made = read(file, cached());
        assertEquals(1, entries().size());
        Path entry = entries().getFirst();
        Files.setLastModifiedTime(entry, java.nio.file.attribute.FileTime.fromMillis(0));
        EncodedFile kept = read(file, cached());
        assertEquals(0, Files.getLastModifiedTime(entry).toMillis(), "the entry was not written again");
        assertSame(fresh, made);
        assertSame(fresh, kept);
        assertEquals(file + ": format alpaca, since row 1 has 'instruction' and 'output'", said.getLast());
    }

    @Test
    void rowsOfAnyNumberOfDocumentsAndAnyMaskAreKept() {
        Random random = new Random(3);
        List<EncodedRow> rows = new ArrayList<>();
        for (int row = 1; row <= 200; row++) {
            List<Document> documents = new ArrayList<>();
            for (int left = random.nextInt(4); left > 0; left--) {
                int[] ids = random.ints(1 + random.nextInt(20), 0, 1 << 20).toArray();
                int[] labels = ids.clone();
                for (int i = 0; i < labels.length; i++) {
                    labels[i] = i == 0 || random.nextBoolean() ? Document.IGNORED : ids[i];
                }
                documents.add(new Document(row, ids, labels));
            }
            rows.add(new EncodedRow(
                    row, new ContentHash(random.nextLong(), random.nextLong()), documents, random.nextBoolean()));
        }
        EncodedFile file = new EncodedFile("chat", "since 天", rows);
        TokenCache cache = new TokenCache(directory.resolve("cache"), said::add);
        byte[] key = new byte[32];
        assertEquals(Optional.empty(), cache.read(key));
        cache.write(key, file);
        assertSame(file, cache.read(key).orElseThrow());
        assertEquals(List.of(), said);
    }

    @Test
    void aDamagedEntryIsMadeAnewAndSaid() throws IOException {
        Path file = rows("a", "b");
        EncodedFile fresh = read(file, cached());
        Path entry = entries().getFirst();
        byte[] whole = Files.readAllBytes(entry);
        Random random = new Random(5);
        for (int i = 0; i < 200; i++) {
            byte[] damaged = i % 4 == 0
                    ? java.util.Arrays.copyOf(whole, random.nextInt(whole.length))
                    : i % 4 == 1 ? java.util.Arrays.copyOf(whole, whole.length + 1) : whole.clone();
            if (i % 4 > 1) {
                damaged[random.nextInt(whole.length)] ^= (byte) (1 << random.nextInt(8));
            }
            Files.write(entry, damaged);
            said.clear();
            assertSame(fresh, read(file, cached()));
            assertTrue(said.getFirst().contains(entry + " is damaged ("), said::toString);
            assertArrayEquals(whole, Files.readAllBytes(entry));
        }
    }

    @Test
    void anEntryUnderAnotherNameIsNotTrusted() throws IOException {
        Path file = rows("a");
        read(file, cached());
        Path entry = entries().getFirst();
        byte[] other = new byte[32];
        Files.copy(entry, entry.resolveSibling(HexFormat.of().formatHex(other) + ".tokens"));
        assertEquals(Optional.empty(), new TokenCache(directory.resolve("cache"), said::add).read(other));
        assertTrue(said.getLast().contains("another key inside"), said::toString);
    }

    @Test
    void everythingThatDecidesTokensIsInTheKey() throws IOException {
        Path model = Fixtures.edited(
                Files.createDirectory(directory.resolve("model")), "bytelevel", "tokenizer.json", json -> {});
        Path file = rows("a", "b");
        List<String> keys = new ArrayList<>();
        keys.add(key(model, ENCODING, RowSettings.DEFAULT, file));
        assertEquals(keys, List.of(key(model, ENCODING, RowSettings.DEFAULT, file)));
        // where entries are kept decides nothing, nor does the data file's name
        Path moved = Files.copy(file, directory.resolve("moved.json"));
        assertEquals(keys, List.of(key(model, ENCODING, cached(), moved)));
        // but that it is CSV does
        keys.add(key(model, ENCODING, RowSettings.DEFAULT, Files.copy(file, directory.resolve("moved.csv"))));

        Files.writeString(file, Files.readString(file) + "\n");
        keys.add(key(model, ENCODING, RowSettings.DEFAULT, file)); // data
        for (EncodingSettings encoding : List.of(
                encoding(61, OverlongChoice.TRUNCATE, Optional.empty(), TrainOn.ASSISTANT, false, true),
                encoding(60, OverlongChoice.SPLIT, Optional.empty(), TrainOn.ASSISTANT, false, true),
                encoding(60, OverlongChoice.TRUNCATE, Optional.of("chatml"), TrainOn.ASSISTANT, false, true),
                encoding(60, OverlongChoice.TRUNCATE, Optional.empty(), TrainOn.ALL, false, true),
                encoding(60, OverlongChoice.TRUNCATE, Optional.empty(), TrainOn.ASSISTANT, true, true),
                encoding(60, OverlongChoice.TRUNCATE, Optional.empty(), TrainOn.ASSISTANT, false, false))) {
            keys.add(key(model, encoding, RowSettings.DEFAULT, file));
        }
        for (RowSettings rows : List.of(
                new RowSettings(FormatChoice.ALPACA, List.of(), 0),
                new RowSettings(FormatChoice.AUTO, List.of("output=response"), 0),
                new RowSettings(FormatChoice.AUTO, List.of(), 1))) {
            keys.add(key(model, ENCODING, rows, file));
        }
        // the same path, another text
        Path template = Files.writeString(directory.resolve("own.jinja"), "{{ messages }}");
        EncodingSettings own =
                encoding(60, OverlongChoice.TRUNCATE, Optional.of(template.toString()), TrainOn.ASSISTANT, false, true);
        keys.add(key(model, own, RowSettings.DEFAULT, file));
        Files.writeString(template, "{{ messages[0] }}");
        keys.add(key(model, own, RowSettings.DEFAULT, file));
        // the model's files
        for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
            Files.writeString(model.resolve(name), Files.readString(model.resolve(name)) + "\n");
            keys.add(key(model, ENCODING, RowSettings.DEFAULT, file));
        }
        for (String name :
                List.of("special_tokens_map.json", "generation_config.json", "config.json", "chat_template.jinja")) {
            Files.writeString(model.resolve(name), "{}");
            keys.add(key(model, ENCODING, RowSettings.DEFAULT, file));
        }
        assertEquals(keys.size(), keys.stream().distinct().count(), keys::toString);
        assertEquals(20, keys.size());
    }

    @Test
    void aFolderThatCannotBeWrittenToIsSaidInOneLine() throws IOException {
        Path file = rows("a");
        Path blocked = Files.writeString(directory.resolve("blocked"), "a file");
        EncodedFile fresh = read(file, RowSettings.DEFAULT);
        said.clear();
        assertSame(fresh, read(file, RowSettings.DEFAULT.cachedIn(blocked.resolve("cache"))));
        assertEquals(2, said.size());
        assertTrue(said.getLast().contains("cannot be written to"), said::toString);
        assertFalse(said.getLast().contains("\n"));
    }

    @Test
    void filesWithBrokenRowsAreNotKept() throws IOException {
        Path file = rows("a", "b");
        Files.writeString(file, Files.readString(file) + "{}\n");
        RowSettings one = new RowSettings(FormatChoice.AUTO, List.of(), 1).cachedIn(directory.resolve("cache"));
        BadRows bad = new BadRows(1);
        assertEquals(2, tokenisation(one).read(file, bad).rows().size());
        assertEquals(1, bad.messages().size());
        assertFalse(Files.exists(directory.resolve("cache")));
    }

    private static String key(Path model, EncodingSettings encoding, RowSettings rows, Path file) {
        return HexFormat.of().formatHex(TokenKey.of(model, encoding, rows).of(file));
    }

    private static EncodingSettings encoding(
            int maxLength,
            OverlongChoice overlong,
            Optional<String> template,
            TrainOn trainOn,
            boolean prompt,
            boolean eos) {
        return new EncodingSettings(maxLength, overlong, template, trainOn, prompt, eos);
    }

    private RowSettings cached() {
        return RowSettings.DEFAULT.cachedIn(directory.resolve("cache"));
    }

    private Tokenisation tokenisation(RowSettings rows) {
        Tokenizer tokenizer = Fixtures.tokenizer("bytelevel");
        return new Tokenisation(tokenizer, new Encoder(tokenizer, ENCODING), ENCODING, rows, said::add);
    }

    private EncodedFile read(Path file, RowSettings rows) {
        return tokenisation(rows).read(file, new BadRows(0));
    }

    private List<Path> entries() throws IOException {
        try (Stream<Path> files = Files.list(directory.resolve("cache"))) {
            return files.toList();
        }
    }

    private Path rows(String... instructions) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (String instruction : instructions) {
            lines.append("{\"instruction\":\"").append(instruction).append("\",\"output\":\"b\"}\n");
        }
        return Files.writeString(directory.resolve("rows.jsonl"), lines);
    }

    private static void assertSame(EncodedFile expected, EncodedFile actual) {
        assertEquals(expected.format(), actual.format());
        assertEquals(expected.detected(), actual.detected());
        assertEquals(expected.rows().size(), actual.rows().size());
        for (int i = 0; i < expected.rows().size(); i++) {
            EncodedRow a = expected.rows().get(i);
            EncodedRow b = actual.rows().get(i);
            assertEquals(a.row(), b.row());
            assertEquals(a.hash(), b.hash());
            assertEquals(a.truncated(), b.truncated());
            assertEquals(a.documents().size(), b.documents().size());
            for (int d = 0; d < a.documents().size(); d++) {
                assertEquals(a.documents().get(d).row(), b.documents().get(d).row());
                assertArrayEquals(
                        a.documents().get(d).inputIds(), b.documents().get(d).inputIds());
                assertArrayEquals(
                        a.documents().get(d).labels(), b.documents().get(d).labels());
            }
        }
    }
}
