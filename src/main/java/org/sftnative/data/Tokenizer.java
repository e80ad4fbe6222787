package org.sftnative.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The tokenizer of a model directory: the ids that transformers 5 makes of the same files, and beside them
/// [#encodeRow], which never takes the text of a row for a special token.
/// Never truncates, never pads. Safe for use by several threads.
public final class Tokenizer {
    private final Path directory;
    private final NativeTokenizer whole;
    private final NativeTokenizer plain;
    private final Optional<BlankPieces> pieces;
    private final BitSet special;
    private final int unknownId;
    private final int[] prefix;
    private final int[] suffix;
    private final int vocabSize;
    private final OptionalInt bosId;
    private final OptionalInt eosId;
    private final OptionalInt padId;

    private Tokenizer(TokenizerJson json, Path file, OptionalInt bosId, OptionalInt eosId, OptionalInt padId) {
        directory = file.toAbsolutePath().getParent();
        whole = new NativeTokenizer(json.whole(), file.toString());
        plain = new NativeTokenizer(json.withoutSpecial(), file.toString());
        pieces = json.splitsAtBlanks() ? Optional.of(new BlankPieces(whole)) : Optional.empty();
        special = json.special();
        unknownId = json.unknown().orElse(-1);
        vocabSize = json.vocabSize();
        this.bosId = bosId;
        this.eosId = eosId;
        this.padId = padId;
        // what the post-processor writes around a text, whatever its kind
        int[] bare = whole.ids("a", false);
        int[] framed = whole.ids("a", true);
        int before = IntStream.rangeClosed(0, framed.length - bare.length)
                .filter(at -> Arrays.equals(framed, at, at + bare.length, bare, 0, bare.length))
                .findFirst()
                .orElseThrow(() -> new InputException(file + " has a post-processor that changes a text's own tokens"));
        prefix = Arrays.copyOf(framed, before);
        suffix = Arrays.copyOfRange(framed, before + bare.length, framed.length);
    }

    /// Reads tokenizer.json, and the names of the special tokens from tokenizer_config.json,
    /// special_tokens_map.json or, by id, generation_config.json and config.json.
    ///
    /// @throws InputException if tokenizer.json is missing or broken
    public static Tokenizer load(Path modelDirectory) {
        Path file = modelDirectory.resolve("tokenizer.json");
        if (!Files.isRegularFile(file)) {
            throw new InputException(modelDirectory + " has no tokenizer.json"
                    + "\n  save the tokenizer with transformers (AutoTokenizer.from_pretrained(...).save_pretrained) to"
                    + " get one");
        }
        TokenizerJson json = new TokenizerJson(file);
        Optional<ObjectNode> config = Json.objectIfThere(modelDirectory.resolve("tokenizer_config.json"));
        Optional<ObjectNode> map = Json.objectIfThere(modelDirectory.resolve("special_tokens_map.json"));
        Optional<ObjectNode> model = Json.objectIfThere(modelDirectory.resolve("config.json"));
        String kind = config.map(c -> c.path("tokenizer_class").asString("")).orElse("");
        String modelType =
                model.map(m -> m.path("model_type").asString("llama")).orElse("llama");
        if (kind.startsWith("LlamaTokenizer") && modelType.equals("llama")) {
            json.rebuildAsLlama(config.orElseThrow().path("legacy").asBoolean(false));
        }
        // in a directory that lists added tokens in its config, that file is the newer one (as in transformers)
        boolean configFirst = config.map(c -> c.has("added_tokens_decoder")).orElse(false);
        List<ObjectNode> byName = (configFirst ? List.of(config, map) : List.of(map, config))
                .stream().flatMap(Optional::stream).toList();
        List<ObjectNode> byId =
                List.of(Json.objectIfThere(modelDirectory.resolve("generation_config.json")), model).stream()
                        .flatMap(Optional::stream)
                        .toList();
        return new Tokenizer(
                json,
                file,
                find("bos_token", json, byName, byId),
                find("eos_token", json, byName, byId),
                find("pad_token", json, byName, byId));
    }

    private static OptionalInt find(String name, TokenizerJson json, List<ObjectNode> byName, List<ObjectNode> byId) {
        for (ObjectNode source : byName) {
            JsonNode token = source.path(name);
            OptionalInt id = json.id(token.isObject() ? token.path("content").asString("") : token.asString(""));
            if (id.isPresent()) {
                return id;
            }
        }
        for (ObjectNode source : byId) {
            JsonNode id = source.path(name + "_id");
            JsonNode first = id.isArray() ? id.path(0) : id;
            if (first.isIntegralNumber()) {
                return OptionalInt.of(first.intValue());
            }
        }
        return OptionalInt.empty();
    }

    /// As transformers' `tok(text)["input_ids"]`: special-token text becomes special tokens, and BOS or EOS are
    /// added where tokenizer.json says so (transformers 5 heeds `add_bos_token` no more where there is a
    /// tokenizer.json).
    public int[] encode(String text) {
        return whole.ids(text, true);
    }

    /// As transformers' `tok(text, add_special_tokens=False)["input_ids"]`.
    public int[] encodePlain(String text) {
        return whole.ids(text, false);
    }

    /// Ids of text that came from a row or a user: `</s>` in it is four characters and not the end of the sequence.
    /// Without such text, these are transformers' ids. Training and generation both encode with this.
    ///
    /// @param first whether what tokenizer.json adds before a text (BOS, in most models) comes before it
    /// @param last whether what tokenizer.json adds after a text (nothing, in most models) comes after it
    /// @throws InputException if this tokenizer cannot write a special token's text in other tokens
    public int[] encodeRow(String text, boolean first, boolean last) {
        int[] ids = pieces.isPresent() ? pieces.get().ids(text) : whole.ids(text, false);
        if (Arrays.stream(ids).anyMatch(special::get)) {
            ids = plain.ids(text, false);
            if (Arrays.stream(ids).anyMatch(id -> special.get(id) && id != unknownId)) {
                throw new InputException("the text of a special token cannot be written in other tokens here"
                        + "\n  remove it from the row: " + decode(ids, false));
            }
        }
        int before = first ? prefix.length : 0;
        int after = last ? suffix.length : 0;
        int[] framed = new int[before + ids.length + after];
        System.arraycopy(prefix, 0, framed, 0, before);
        System.arraycopy(ids, 0, framed, before, ids.length);
        System.arraycopy(suffix, 0, framed, before + ids.length, after);
        return framed;
    }

    /// Text of token ids, as transformers' `tok.decode(ids, skip_special_tokens=skipSpecial)`.
    public String decode(int[] ids, boolean skipSpecial) {
        return whole.decode(ids, skipSpecial);
    }

    /// The model directory that it was read from.
    Path directory() {
        return directory;
    }

    /// The beginning-of-sequence token, if the model has one.
    public OptionalInt bosId() {
        return bosId;
    }

    /// The end-of-sequence token; of several, the first.
    public OptionalInt eosId() {
        return eosId;
    }

    /// The padding token, if the model has one. Training never uses it.
    public OptionalInt padId() {
        return padId;
    }

    /// Highest token id plus one, added tokens included: what the model's embedding must have at least.
    public int vocabSize() {
        return vocabSize;
    }
}
