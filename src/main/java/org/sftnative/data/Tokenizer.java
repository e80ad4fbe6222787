package org.sftnative.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.IntStream;
import org.sftnative.InputException;
import org.sftnative.template.Span;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The tokenizer of a model directory: the ids that transformers 5 makes of the same files, and beside them
/// [#encodeRow], which never takes the text of a row for a special token.
/// Never truncates, never pads. Safe for use by several threads.
public final class Tokenizer {
    private static final List<String> NAMES =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");

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
    private final SpecialTokens specialTokens;
    private final Map<Integer, Integer> standIns = new HashMap<>(); // of `plain`, to the special tokens' own ids
    private final Map<String, String> specialNames;
    private final Map<String, String> chatTemplates;

    private Tokenizer(
            TokenizerJson json,
            Path file,
            OptionalInt bosId,
            OptionalInt eosId,
            OptionalInt padId,
            Map<String, String> specialNames,
            Map<String, String> chatTemplates) {
        directory = file.toAbsolutePath().getParent();
        this.specialNames = Map.copyOf(specialNames);
        this.chatTemplates = Map.copyOf(chatTemplates);
        String wholeJson = json.whole();
        String plainJson = json.withoutSpecial();
        TokenizerTrial.check(file, wholeJson, plainJson);
        whole = new NativeTokenizer(wholeJson, file.toString());
        plain = new NativeTokenizer(plainJson, file.toString());
        pieces = json.splitsAtBlanks() ? Optional.of(new BlankPieces(whole)) : Optional.empty();
        special = json.special();
        unknownId = json.unknown().orElse(-1);
        vocabSize = json.vocabSize();
        this.bosId = bosId;
        this.eosId = eosId;
        this.padId = padId;
        specialTokens = new SpecialTokens(json.specialTexts());
        for (int id : json.specialTexts().values()) {
            int[] standIn = plain.ids(TokenizerJson.standIn(id), false);
            if (standIn.length == 1) { // else it has a normalizer that rewrites noncharacters: never found, then
                standIns.put(standIn[0], id);
            }
        }
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
                find("pad_token", json, byName, byId),
                specialNames(byName),
                ChatTemplateFiles.read(modelDirectory, config));
    }

    /// The special tokens that the files name, as transformers gives them to a chat template.
    static Map<String, String> specialNames(List<ObjectNode> byName) {
        Map<String, String> names = new HashMap<>();
        for (String name : NAMES) {
            for (ObjectNode source : byName) {
                JsonNode token = source.path(name);
                String text = token.isObject() ? token.path("content").asString("") : token.asString("");
                if (!text.isEmpty()) {
                    names.putIfAbsent(name, text);
                }
            }
        }
        return names;
    }

    static OptionalInt find(String name, TokenizerJson json, List<ObjectNode> byName, List<ObjectNode> byId) {
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
            if (first.isIntegralNumber() && first.canConvertToInt()) {
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
            refuseStandIns(text);
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

    /// Tokens of a rendered conversation, without what tokenizer.json adds around a text: special tokens where the
    /// template wrote them, and nowhere else. If the row has no special token's text, these are the ids of
    /// transformers' `apply_chat_template(..., tokenize=True)`.
    ///
    /// The text is encoded whole, so that tokens merge across the borders of rows and template, and the flags of
    /// added tokens hold.
    ///
    /// @param fromRows characters that come from the row
    /// @param roles what the row may give within a special token
    /// @throws InputException if this tokenizer cannot write a special token's text in other tokens
    Encoding encodeRendered(String text, List<Span> fromRows, Set<String> roles) {
        List<SpecialTokens.Found> found = specialTokens.in(text, fromRows, roles);
        if (found.stream().allMatch(SpecialTokens.Found::template)) {
            return whole.encode(text);
        }
        refuseStandIns(text);
        StringBuilder guarded = new StringBuilder();
        List<int[]> moved = new ArrayList<>(); // start in the guarded text, length there, start, length in `text`
        int at = 0;
        for (SpecialTokens.Found token : found) {
            if (token.template()) {
                guarded.append(text, at, token.start());
                String standIn = TokenizerJson.standIn(token.id());
                moved.add(new int[] {guarded.length(), standIn.length(), token.start(), token.end() - token.start()});
                guarded.append(standIn);
                at = token.end();
            }
        }
        guarded.append(text, at, text.length());
        Encoding encoding = plain.encode(guarded.toString());
        for (int i = 0, m = 0; i < encoding.ids().length; i++) {
            Integer own = standIns.get(encoding.ids()[i]);
            if (own == null && special.get(encoding.ids()[i]) && encoding.ids()[i] != unknownId) {
                throw new InputException("the text of a special token cannot be written in other tokens here"
                        + "\n  remove it from the row: " + decode(new int[] {encoding.ids()[i]}, false));
            }
            if (own != null) {
                encoding.ids()[i] = own;
            }
            encoding.starts()[i] = back(moved, encoding.starts()[i], false);
            encoding.ends()[i] = back(moved, encoding.ends()[i], true);
        }
        return encoding;
    }

    /// Where an offset of the guarded text lies in the text itself.
    private static int back(List<int[]> moved, int offset, boolean end) {
        int shift = 0;
        for (int[] m : moved) {
            if (offset < m[0] || offset == m[0] && end) {
                break;
            }
            if (offset < m[0] + m[1]) {
                return end ? m[2] + m[3] : m[2];
            }
            shift = m[2] + m[3] - m[0] - m[1];
        }
        return offset + shift;
    }

    private static void refuseStandIns(String text) {
        if (text.indexOf(TokenizerJson.STAND_IN) >= 0) {
            throw new InputException(
                    "the row holds the noncharacter U+FDD0 beside a special token's text" + "\n  remove one of them");
        }
    }

    /// The special tokens, to find them in a text.
    SpecialTokens special() {
        return specialTokens;
    }

    /// What tokenizer.json adds before a text: BOS, in most models.
    int[] prefix() {
        return prefix.clone();
    }

    /// Text of the special tokens by their names, `eos_token` and the like: those that the model has.
    public Map<String, String> specialTokens() {
        return specialNames;
    }

    /// The model's own chat templates by name; the one to use is `default`. Empty if it has none.
    public Map<String, String> chatTemplates() {
        return chatTemplates;
    }

    /// Text of token ids, as transformers' `tok.decode(ids, skip_special_tokens=skipSpecial)`.
    public String decode(int[] ids, boolean skipSpecial) {
        return whole.decode(ids, skipSpecial);
    }

    /// The model directory that it was read from.
    Path directory() {
        return directory;
    }

    /// Whether an id is a special token: EOS, or one that ends a turn.
    public boolean isSpecial(int id) {
        return special.get(id);
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
