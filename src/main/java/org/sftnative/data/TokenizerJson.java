package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.regex.Pattern;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A tokenizer.json, checked before the library sees it: what the library does not check itself ends in a Rust
/// panic, and a panic ends the process.
final class TokenizerJson {
    /// What a stand-in begins with: a noncharacter.
    static final char STAND_IN = '\uFDD0';

    private static final Pattern BLANK_INSIDE = Pattern.compile("[^ \u2581][ \u2581]", Pattern.DOTALL);

    private final Path file;
    private final ObjectNode root;
    private final Map<String, Integer> ids = new HashMap<>();
    private final BitSet special = new BitSet();
    private final int vocabSize;

    /// @throws InputException naming the member that is missing or wrong
    TokenizerJson(Path file) {
        this.file = file;
        root = Json.object(file);
        root.putNull("truncation"); // rows are cut by the encoder, which knows where the labels are
        root.putNull("padding");
        readVocabulary();
        int modelSize = ids.size();
        int highest = ids.values().stream().mapToInt(Integer::intValue).max().orElse(-1);
        highest = Math.max(highest, readAddedTokens(modelSize));
        vocabSize = highest + 1;
        checkPostProcessor(root.path("post_processor"));
    }

    /// The whole tokenizer, without its truncation and padding.
    String whole() {
        return root.toString();
    }

    /// A tokenizer to which special tokens are only text, and which adds nothing. Other added tokens stay (runs of
    /// blanks, in some models), with their ids. Each special token leaves a stand-in, with its flags: see
    /// [#standIn]. One that has its id from the model's vocabulary has a new one as stand-in, after all others.
    String withoutSpecial() {
        ObjectNode copy = root.deepCopy();
        copy.putNull("post_processor");
        ArrayNode kept = copy.arrayNode();
        ArrayNode last = copy.arrayNode();
        JsonNode vocabulary = root.path("model").path("vocab");
        int id = vocabSize;
        for (JsonNode token : root.path("added_tokens")) {
            ObjectNode entry = (ObjectNode) token.deepCopy();
            if (!entry.path("special").asBoolean(false)) {
                kept.add(entry);
                continue;
            }
            String content = entry.path("content").stringValue();
            entry.put("content", standIn(entry.path("id").asInt()));
            if (vocabulary.has(content)) {
                last.add(entry.put("id", id++)); // an id of its own would shift those of the tokens after it
            } else {
                kept.add(entry);
            }
        }
        kept.addAll(last);
        copy.set("added_tokens", kept);
        return copy.toString();
    }

    /// Text that stands for a special token in [#withoutSpecial]: its id between noncharacters.
    static String standIn(int id) {
        return STAND_IN + "" + id + "\uFDD1";
    }

    /// The special tokens' texts and ids.
    Map<String, Integer> specialTexts() {
        Map<String, Integer> texts = new HashMap<>();
        for (JsonNode token : root.path("added_tokens")) {
            if (token.path("special").asBoolean(false)) {
                texts.put(token.path("content").stringValue(), token.path("id").intValue());
            }
        }
        return texts;
    }

    /// Llama's first conversions write the leading blank with a normalizer. transformers 5 rebuilds those of class
    /// LlamaTokenizer with a pre-tokenizer, which does not double a blank that the text starts with; so do we.
    ///
    /// @param legacy tokenizer_config.json's `legacy`: the blank is written after each special token too
    void rebuildAsLlama(boolean legacy) {
        List<String> types = new ArrayList<>();
        root.path("normalizer")
                .path("normalizers")
                .forEach(n -> types.add(n.path("type").asString("")));
        if (types.equals(List.of("Prepend", "Replace"))
                && !root.path("pre_tokenizer").isObject()) {
            root.putNull("normalizer");
            root.putObject("pre_tokenizer")
                    .put("type", "Metaspace")
                    .put("replacement", "\u2581")
                    .put("prepend_scheme", legacy ? "always" : "first")
                    .put("split", false);
        }
    }

    /// Whether the ids of a text are those of its pieces, cut before each blank that follows something other
    /// than a blank: BPE over text in which blanks are U+2581, with no merge whose result has that mark after
    /// another letter, and nothing else that looks over such a cut. The library writes no further blank before
    /// a piece that starts with one.
    boolean splitsAtBlanks() {
        JsonNode model = root.path("model");
        JsonNode pre = root.path("pre_tokenizer");
        boolean plain = model.path("type").asString("").equals("BPE")
                && !model.path("dropout").isNumber()
                && !model.path("ignore_merges").asBoolean(false)
                && model.path("continuing_subword_prefix").asString("").isEmpty()
                && model.path("end_of_word_suffix").asString("").isEmpty()
                && ids.containsKey("\u2581")
                && pre.path("type").asString("").equals("Metaspace")
                && pre.path("replacement").asString("").equals("\u2581")
                && !root.path("normalizer").isObject();
        if (!plain) {
            return false;
        }
        for (JsonNode merge : model.path("merges")) {
            String result = merge.isArray()
                    ? merge.path(0).asString("") + merge.path(1).asString("")
                    : merge.asString("").replaceFirst(" ", "");
            if (BLANK_INSIDE.matcher(result).find()) {
                return false;
            }
        }
        for (JsonNode token : root.path("added_tokens")) {
            if (token.path("rstrip").asBoolean(false)
                    || BLANK_INSIDE.matcher(token.path("content").asString("")).find()) {
                return false;
            }
        }
        return true;
    }

    /// Id of a token by its exact text.
    OptionalInt id(String token) {
        Integer id = ids.get(token);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    /// Ids of special tokens.
    BitSet special() {
        return special;
    }

    /// The token that stands for characters which the vocabulary lacks, where the model has one.
    OptionalInt unknown() {
        JsonNode model = root.path("model");
        return model.path("unk_id").isIntegralNumber() && model.path("unk_id").canConvertToInt()
                ? OptionalInt.of(model.path("unk_id").intValue())
                : id(model.path("unk_token").asString(""));
    }

    /// Highest id plus one, added tokens included.
    int vocabSize() {
        return vocabSize;
    }

    private void readVocabulary() {
        JsonNode model = root.path("model");
        require(model.isObject(), "has no object 'model'");
        JsonNode vocabulary = model.path("vocab");
        if (vocabulary.isObject()) {
            for (var entry : vocabulary.properties()) {
                ids.put(entry.getKey(), tokenId(entry.getValue(), entry.getKey()));
            }
        } else {
            require(vocabulary.isArray(), "has no 'vocab' in its 'model'");
            for (int i = 0; i < vocabulary.size(); i++) {
                JsonNode token = vocabulary.get(i).path(0);
                require(token.isString(), "has an entry of 'vocab' that is no [token, score]: " + vocabulary.get(i));
                ids.put(token.stringValue(), i);
            }
        }
        require(!ids.isEmpty(), "has an empty 'vocab'");
    }

    /// The library numbers added tokens itself, by their order; a number in the file that differs would train one
    /// row of the embedding and mean another.
    private int readAddedTokens(int modelSize) {
        JsonNode added = root.path("added_tokens");
        if (added.isMissingNode() || added.isNull()) {
            root.putArray("added_tokens");
            return -1;
        }
        require(added.isArray(), "has 'added_tokens' that are no array");
        int highest = -1;
        for (JsonNode token : added) {
            JsonNode content = token.path("content");
            require(content.isString() && !content.stringValue().isEmpty(), "has an added token without 'content'");
            String text = content.stringValue();
            int id = tokenId(token.path("id"), text);
            int given = ids.getOrDefault(text, highest >= modelSize ? highest + 1 : modelSize);
            require(
                    id == given,
                    "gives the added token '" + text + "' id " + id + ", but its place in the file makes it " + given);
            ids.put(text, id);
            highest = Math.max(highest, id);
            if (token.path("special").asBoolean(false)) {
                special.set(id);
            }
        }
        return highest;
    }

    /// A template that uses a token which its `special_tokens` do not describe panics in the library.
    private void checkPostProcessor(JsonNode processor) {
        switch (processor.path("type").asString("")) {
            case "Sequence" -> processor.path("processors").forEach(this::checkPostProcessor);
            case "TemplateProcessing" -> {
                JsonNode described = processor.path("special_tokens");
                for (String side : List.of("single", "pair")) {
                    for (JsonNode piece : processor.path(side)) {
                        if (piece.has("SpecialToken")) {
                            checkDescribed(described, piece.path("SpecialToken").path("id"));
                        }
                    }
                }
            }
            default -> {
                // the other kinds name no tokens by text
            }
        }
    }

    private void checkDescribed(JsonNode described, JsonNode name) {
        require(name.isString(), "has a template with a special token that has no 'id'");
        JsonNode token = described.path(name.stringValue());
        String what = "has a template that uses '" + name.stringValue() + "', ";
        require(token.isObject(), what + "which its special_tokens do not describe");
        JsonNode tokenIds = token.path("ids");
        require(
                !tokenIds.isEmpty() && tokenIds.size() == token.path("tokens").size(),
                what + "whose 'ids' and 'tokens' do not match");
        for (JsonNode id : tokenIds) {
            require(ids.containsValue(tokenId(id, name.stringValue())), what + "id " + id + ", which no token has");
        }
    }

    private int tokenId(JsonNode id, String token) {
        require(
                id.isIntegralNumber() && id.canConvertToInt() && id.intValue() >= 0,
                "gives token '" + token + "' the id " + id);
        return id.intValue();
    }

    private void require(boolean holds, String what) {
        if (!holds) {
            throw new InputException(file + " " + what + "\n  it is not a tokenizer that this program can use");
        }
    }
}
