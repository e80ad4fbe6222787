package org.sftnative.data;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.sftnative.config.FormatChoice;
import org.sftnative.config.RowSettings;
import tools.jackson.databind.node.ObjectNode;

/// The readers of this room, for the fuzzer.
public final class DataFuzzTargets {
    private static final Path ROWS = Path.of("src/test/resources/golden/rows");
    private static final String CHAT =
            "{\"messages\":[{\"role\":\"user\",\"content\":\"天\\n\\ud83d\\ude42\",\"weight\":0},"
                    + "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"tool_calls\":[{\"a\":null}]}],"
                    + "\"tools\":\"[{}]\",\"system\":\"s\"}";
    private static final String SHARE = "{\"conversations\":[{\"from\":\"human\",\"value\":\"x\"},"
            + "{\"from\":\"function_call\",\"value\":\"{\\\"name\\\":\\\"f\\\",\\\"arguments\\\":{}}\"}]}";
    private static final String ALPACA =
            "{\"instruction\":\"a\",\"input\":null,\"output\":\"b\",\"history\":[[\"c\",\"d\"]]}";
    private static final String TOKENIZER = """
            {"version":"1.0","truncation":null,"padding":null,"added_tokens":[\
            {"id":0,"content":"<s>","special":true},{"id":6,"content":"<x>","special":true},\
            {"id":7,"content":"  ","special":false}],"normalizer":null,\
            "pre_tokenizer":{"type":"Metaspace","replacement":"\\u2581","prepend_scheme":"first","split":false},\
            "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},\
            {"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},\
            {"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}},\
            "decoder":{"type":"Metaspace","replacement":"\\u2581","prepend_scheme":"first","split":false},\
            "model":{"type":"BPE","dropout":null,"unk_token":"<s>","byte_fallback":false,"fuse_unk":false,\
            "vocab":{"<s>":0,"\\u2581":1,"a":2,"b":3,"ab":4,"\\u2581a":5},"merges":[["a","b"],["\\u2581","a"]]}}""";

    private DataFuzzTargets() {}

    /// As the fuzzer's own.
    public record Target(String name, int perMille, List<byte[]> seeds, UnaryOperator<byte[]> repair, Reader reader) {}

    /// Reads bytes as files are read.
    @FunctionalInterface
    public interface Reader {
        void read(byte[] input, Path folder) throws Exception;
    }

    public static List<Target> all() {
        UnaryOperator<byte[]> asIs = UnaryOperator.identity();
        return List.of(
                new Target(
                        "tokenizer", 100, seeds(TOKENIZER, wordLevel(), unigram()), asIs, DataFuzzTargets::tokenizer),
                new Target("tokenizer-config", 40, seeds(TOKENIZER_CONFIG), asIs, DataFuzzTargets::tokenizerConfig),
                new Target(
                        "rows-json",
                        60,
                        seeds("[" + ALPACA + ",\n" + ALPACA + "]", "[" + CHAT + "]", "[" + SHARE + " ]"),
                        asIs,
                        rows("rows.json")),
                new Target(
                        "rows-jsonl",
                        70,
                        seeds(ALPACA + "\n" + ALPACA + "\r\n", CHAT, SHARE + "\n\n" + SHARE),
                        asIs,
                        rows("rows.jsonl")),
                new Target(
                        "rows-csv",
                        70,
                        seeds("instruction,input,output\n\"a\nb\",\"\"\"\",天\r\nc,,d\n"),
                        asIs,
                        rows("rows.csv")),
                new Target(
                        "rows-gzip",
                        10,
                        List.of(gzip(ALPACA + "\n" + ALPACA), gzip(SHARE)),
                        asIs,
                        rows("rows.jsonl.gz")),
                new Target("rows-parquet", 2, parquet(), asIs, rows("rows.parquet")),
                new Target(
                        "token-cache", 60, List.of(entry()), DataFuzzTargets::withDigest, DataFuzzTargets::tokenCache));
    }

    private static final String TOKENIZER_CONFIG = """
            {"tokenizer_class":"LlamaTokenizerFast","legacy":true,"bos_token":{"content":"<s>"},"eos_token":"<s>",\
            "added_tokens_decoder":{"0":{"content":"<s>"}},"chat_template":[{"name":"default","template":"{{ x }}"}]}""";

    private static String wordLevel() {
        return "{\"added_tokens\":[],\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"<unk>\":1},\"unk_token\":\"<unk>\"}}";
    }

    private static String unigram() {
        return "{\"added_tokens\":[],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"}]},"
                + "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"a\",-1.5]],\"byte_fallback\":false}}";
    }

    /// All that Java makes of a tokenizer.json before the library sees it.
    private static void tokenizer(byte[] input, Path folder) throws IOException {
        TokenizerJson json = new TokenizerJson(Files.write(folder.resolve("tokenizer.json"), input));
        json.whole();
        json.withoutSpecial();
        json.rebuildAsLlama(false);
        json.splitsAtBlanks();
        json.specialTexts();
        json.unknown();
    }

    private static void tokenizerConfig(byte[] input, Path folder) throws IOException {
        Optional<ObjectNode> config = Json.objectIfThere(Files.write(folder.resolve("tokenizer_config.json"), input));
        ChatTemplateFiles.read(folder, config);
        List<ObjectNode> sources = config.stream().toList();
        Tokenizer.specialNames(sources);
        TokenizerJson json = new TokenizerJson(Files.writeString(folder.resolve("tokenizer.json"), TOKENIZER));
        Tokenizer.find("eos_token", json, sources, sources);
    }

    private static Reader rows(String name) {
        return (input, folder) -> {
            Path file = Files.write(folder.resolve(name), input);
            FormatChoice[] formats = FormatChoice.values();
            int pick = Math.floorMod(Arrays.hashCode(input), 2 * formats.length);
            FormatChoice format = pick < formats.length ? formats[pick] : FormatChoice.AUTO;
            try (ExampleSource source =
                    ExampleSource.open(file, new RowSettings(format, List.of(), input.length % 3))) {
                source.forEachRemaining(item -> {});
            }
        };
    }

    private static void tokenCache(byte[] input, Path folder) throws IOException {
        byte[] key = new byte[32];
        Files.write(folder.resolve("0".repeat(64) + ".tokens"), input);
        new TokenCache(folder, _ -> {}).read(key);
    }

    private static byte[] entry() {
        try {
            Path folder = Files.createTempDirectory("entry");
            int[] ids = {1, 2, 3, 4};
            int[] labels = {Document.IGNORED, Document.IGNORED, 3, 4};
            new TokenCache(folder, _ -> {})
                    .write(
                            new byte[32],
                            new EncodedFile(
                                    "chat",
                                    "since 天",
                                    List.of(
                                            new EncodedRow(
                                                    1,
                                                    new ContentHash(5, 6),
                                                    List.of(new Document(1, ids, labels)),
                                                    true),
                                            new EncodedRow(2, new ContentHash(7, 8), List.of(), false))));
            try (Stream<Path> files = Files.list(folder)) {
                Path file = files.findFirst().orElseThrow();
                byte[] bytes = Files.readAllBytes(file);
                Files.delete(file);
                Files.delete(folder);
                return bytes;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] withDigest(byte[] input) {
        int body = input.length - 32;
        if (body > 0) {
            MessageDigest sha = TokenKey.sha256();
            sha.update(input, 0, body);
            System.arraycopy(sha.digest(), 0, input, body, 32);
        }
        return input;
    }

    private static List<byte[]> parquet() {
        return Stream.of("chat-snappy.parquet", "alpaca-gzip.parquet", "history.parquet", "chat-zstd.parquet")
                .map(name -> {
                    try {
                        return Files.readAllBytes(ROWS.resolve(name));
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                })
                .toList();
    }

    private static byte[] gzip(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(bytes)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static List<byte[]> seeds(String... texts) {
        return Arrays.stream(texts)
                .map(text -> text.getBytes(StandardCharsets.UTF_8))
                .toList();
    }
}
