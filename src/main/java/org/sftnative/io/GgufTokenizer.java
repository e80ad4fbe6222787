package org.sftnative.io;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A `tokenizer.json` as the keys of a GGUF file, for the two kinds that LLaMA-family models have:
/// BPE over bytes (`gpt2`), whose pre-tokenizer must be one that llama.cpp knows by name, and BPE
/// with byte fallback as SentencePiece makes it (`llama`). Whatever else is refused by what it is:
/// a program would tokenise otherwise than training did.
/// Source: llama.cpp's tokenizers, by their regular expressions and merge rules.
public final class GgufTokenizer {
    private static final String GPT2_PRE = "gpt-2";
    private static final String SPACE = "\u2581";

    /// Pre-tokenizers of one regular expression, which llama.cpp has under a name.
    private static final String CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";

    private static final String REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final String LLAMA3 = CONTRACTIONS + "\\p{N}{1,3}" + REST;
    private static final String QWEN2 = CONTRACTIONS + "\\p{N}" + REST;

    /// Types of tokens, as llama.cpp numbers them.
    private static final int NORMAL = 1;

    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    private static final int BYTE = 6;

    private final Path file;
    private final ObjectNode root;
    private final JsonNode model;
    private final Map<String, Integer> vocabulary = new HashMap<>();
    private final Map<Integer, Integer> added = new HashMap<>();
    private final List<String> texts = new ArrayList<>();
    private final SequencedMap<String, GgufValue> keys = new LinkedHashMap<>();

    private GgufTokenizer(Path file) {
        this.file = file;
        root = JsonFiles.readObject(file);
        model = root.path("model");
    }

    /// The keys, without the ids of special tokens and the chat template.
    ///
    /// @param directory holds `tokenizer.json`
    /// @param vocabSize rows of the embedding: ids beyond the tokenizer's are filled with tokens
    /// that are not used
    /// @throws InputException if GGUF cannot express the tokenizer, naming what it has
    public static SequencedMap<String, GgufValue> keys(Path directory, int vocabSize) {
        GgufTokenizer tokenizer = new GgufTokenizer(ModelDirectory.file(directory, "tokenizer.json")
                .orElseThrow(() -> new InputException(directory + " has no tokenizer.json")));
        tokenizer.read(vocabSize);
        return tokenizer.keys;
    }

    private void read(int vocabSize) {
        String type = model.path("type").asString("BPE");
        if (!type.equals("BPE") || !model.path("vocab").isObject()) {
            throw refused("a tokenizer of type " + Shown.text(type));
        }
        for (String name : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            if (!model.path(name).asString("").isEmpty()) {
                throw refused("a '" + name + "'");
            }
        }
        if (model.path("dropout").asDouble(0) != 0) {
            throw refused("BPE dropout");
        }
        readTokens(vocabSize);
        List<String[]> merges = merges();
        if (model.path("byte_fallback").asBoolean(false)) {
            sentencePiece(merges);
        } else {
            bytes(merges);
        }
    }

    private void readTokens(int vocabSize) {
        Map<Integer, String> byId = new HashMap<>();
        model.path("vocab").properties().forEach(e -> {
            vocabulary.put(e.getKey(), e.getValue().intValue());
            byId.put(e.getValue().intValue(), e.getKey());
        });
        for (JsonNode token : root.path("added_tokens")) {
            int id = token.path("id").intValue();
            byId.put(id, token.path("content").stringValue());
            added.put(id, token.path("special").asBoolean(false) ? CONTROL : USER_DEFINED);
        }
        int highest = byId.keySet().stream().mapToInt(Integer::intValue).max().orElse(-1);
        if (highest >= vocabSize) {
            throw new InputException(file + ": has a token of id " + highest + ", config.json says vocab_size "
                    + vocabSize + "\n  config and tokenizer are from different models");
        }
        for (int id = 0; id < vocabSize; id++) {
            texts.add(byId.getOrDefault(id, "[PAD" + id + "]"));
            if (!byId.containsKey(id)) {
                added.put(id, UNUSED);
            }
        }
    }

    private List<String[]> merges() {
        List<String[]> merges = new ArrayList<>();
        for (JsonNode merge : model.path("merges")) {
            String[] pair = merge.isArray()
                    ? new String[] {merge.path(0).asString(""), merge.path(1).asString("")}
                    : merge.asString("").split(" ", 2);
            if (pair.length != 2 || !vocabulary.containsKey(pair[0] + pair[1])) {
                throw refused("a merge " + Shown.text(merge.toString()) + " into no token");
            }
            merges.add(pair);
        }
        return merges;
    }

    // -- BPE over bytes --

    private void bytes(List<String[]> merges) {
        for (String[] pair : merges) {
            if (pair[0].contains(" ") || pair[1].contains(" ")) {
                throw refused("a merge of tokens with a blank, as BPE over bytes has none");
            }
        }
        keys.put("tokenizer.ggml.model", GgufValue.of("gpt2"));
        keys.put("tokenizer.ggml.pre", GgufValue.of(preTokenizer()));
        keys.put("tokenizer.ggml.tokens", GgufValue.texts(texts));
        List<Integer> types = new ArrayList<>();
        for (int id = 0; id < texts.size(); id++) {
            types.add(added.getOrDefault(id, NORMAL));
        }
        keys.put("tokenizer.ggml.token_type", GgufValue.ints(types));
        keys.put(
                "tokenizer.ggml.merges",
                GgufValue.texts(
                        merges.stream().map(pair -> pair[0] + " " + pair[1]).toList()));
        unknown();
    }

    private String preTokenizer() {
        List<JsonNode> steps = new ArrayList<>();
        flatten(root.path("pre_tokenizer"), steps);
        JsonNode last = steps.isEmpty() ? root.path("none") : steps.getLast();
        if (!last.path("type").asString("").equals("ByteLevel")) {
            throw refused("BPE without byte fallback whose pre-tokenizer does not end with ByteLevel");
        }
        if (last.path("add_prefix_space").asBoolean(true)) {
            throw refused("a ByteLevel pre-tokenizer with add_prefix_space");
        }
        boolean ignoresMerges = model.path("ignore_merges").asBoolean(false);
        boolean ownRegex = last.path("use_regex").asBoolean(true);
        String name = null;
        if (steps.size() == 1 && ownRegex && !ignoresMerges) {
            name = GPT2_PRE;
        } else if (steps.size() == 2 && !ignoresMerges && ownRegex && isDigits(steps.getFirst())) {
            name = "smollm";
        } else if (steps.size() == 2 && !ownRegex && isIsolating(steps.getFirst())) {
            String regex = steps.getFirst().path("pattern").path("Regex").asString("");
            if (regex.equals(LLAMA3)) {
                name = ignoresMerges ? "llama-bpe" : "smaug-bpe";
            } else if (regex.equals(QWEN2) && !ignoresMerges) {
                name = "qwen2";
            }
        }
        if (name == null) {
            throw refused("a pre-tokenizer that llama.cpp has no name for"
                    + (ignoresMerges ? ", with ignore_merges" : "") + ": "
                    + Shown.text(root.path("pre_tokenizer").toString()));
        }
        checkNormalizer(name);
        return name;
    }

    /// Qwen2's own is NFC, which its llama.cpp twin leaves out: text is nearly always in that form.
    private void checkNormalizer(String pre) {
        JsonNode normalizer = root.path("normalizer");
        boolean none = normalizer.isNull() || normalizer.isMissingNode();
        boolean nfc = normalizer.path("type").asString("").equals("NFC") && pre.equals("qwen2");
        if (!none && !nfc) {
            throw refused("the normalizer " + Shown.text(normalizer.toString()));
        }
    }

    private static void flatten(JsonNode step, List<JsonNode> into) {
        if (step.path("type").asString("").equals("Sequence")) {
            step.path("pretokenizers").forEach(inner -> flatten(inner, into));
        } else if (step.isObject()) {
            into.add(step);
        }
    }

    private static boolean isDigits(JsonNode step) {
        return step.path("type").asString("").equals("Digits")
                && step.path("individual_digits").asBoolean(false);
    }

    private static boolean isIsolating(JsonNode step) {
        return step.path("type").asString("").equals("Split")
                && step.path("behavior").asString("").equals("Isolated")
                && !step.path("invert").asBoolean(false);
    }

    // -- BPE as SentencePiece makes it --

    /// llama.cpp joins two neighbours whenever the vocabulary has what they make, the best score
    /// first. That is BPE by merges if every such pair is a merge, and the pairs that make one
    /// token stand together: then the place of a token among the merges is its score.
    private void sentencePiece(List<String[]> merges) {
        checkSpaces();
        for (int b = 0; b < 256; b++) {
            if (!vocabulary.containsKey(String.format("<0x%02X>", b))) {
                throw refused(String.format("byte fallback without the token <0x%02X>", b));
            }
        }
        Map<String, Integer> ranks = new HashMap<>();
        Set<String> pairs = new HashSet<>();
        String before = "";
        for (String[] pair : merges) {
            String result = pair[0] + pair[1];
            pairs.add(pair[0] + "\0" + pair[1]);
            if (!result.equals(before) && ranks.putIfAbsent(result, ranks.size()) != null) {
                throw refused("merges into '" + Shown.text(result) + "' before and after merges into others");
            }
            before = result;
        }
        List<Float> scores = new ArrayList<>();
        List<Integer> types = new ArrayList<>();
        int unknown = vocabulary.getOrDefault(model.path("unk_token").asString(""), -1);
        for (int id = 0; id < texts.size(); id++) {
            String text = texts.get(id);
            boolean isByte = text.matches("<0x[0-9A-F]{2}>") && vocabulary.containsKey(text);
            int type = id == unknown ? UNKNOWN : isByte ? BYTE : added.getOrDefault(id, NORMAL);
            if (type == NORMAL) {
                checkPairs(text, pairs);
            }
            types.add(type);
            scores.add(type == NORMAL ? -(float) ranks.getOrDefault(text, ranks.size()) : 0f);
        }
        keys.put("tokenizer.ggml.model", GgufValue.of("llama"));
        keys.put("tokenizer.ggml.pre", GgufValue.of("default"));
        keys.put("tokenizer.ggml.tokens", GgufValue.texts(texts));
        keys.put("tokenizer.ggml.scores", GgufValue.floats(scores));
        keys.put("tokenizer.ggml.token_type", GgufValue.ints(types));
        unknown();
        keys.put("tokenizer.ggml.add_space_prefix", GgufValue.of(addsSpace()));
    }

    private void checkPairs(String text, Set<String> pairs) {
        for (int i = text.offsetByCodePoints(0, 1); i < text.length(); i = text.offsetByCodePoints(i, 1)) {
            String left = text.substring(0, i);
            String right = text.substring(i);
            if (vocabulary.containsKey(left) && vocabulary.containsKey(right) && !pairs.contains(left + "\0" + right)) {
                throw refused("the token '" + Shown.text(text) + "' with parts '" + Shown.text(left) + "' and '"
                        + Shown.text(right) + "' that are no merge, though llama.cpp would join them");
            }
        }
    }

    /// Blanks become U+2581, by a normalizer or a pre-tokenizer, and nothing else is done to a
    /// text.
    private void checkSpaces() {
        List<String> normalizers = new ArrayList<>();
        JsonNode normalizer = root.path("normalizer");
        (normalizer.has("normalizers") ? normalizer.path("normalizers") : List.of(normalizer))
                .forEach(step -> normalizers.add(step.path("type").asString("")));
        normalizers.removeIf(String::isEmpty);
        JsonNode pre = root.path("pre_tokenizer");
        boolean metaspace = pre.path("type").asString("").equals("Metaspace")
                && pre.path("replacement").asString(SPACE).equals(SPACE)
                && !pre.path("split").asBoolean(true);
        boolean byNormalizer =
                (normalizers.equals(List.of("Prepend", "Replace")) || normalizers.equals(List.of("Replace")))
                        && !pre.isObject();
        boolean byPreTokenizer = normalizers.isEmpty() && metaspace;
        if (!byNormalizer && !byPreTokenizer) {
            throw refused("BPE with byte fallback over the normalizer " + Shown.text(normalizer.toString())
                    + " and the pre-tokenizer " + Shown.text(pre.toString()));
        }
    }

    private boolean addsSpace() {
        JsonNode pre = root.path("pre_tokenizer");
        return pre.isObject()
                ? !pre.path("prepend_scheme").asString("always").equals("never")
                : root.path("normalizer").toString().contains("Prepend");
    }

    private void unknown() {
        Integer id = vocabulary.get(model.path("unk_token").asString(""));
        if (id != null) {
            keys.put("tokenizer.ggml.unknown_token_id", GgufValue.of((long) id));
        }
    }

    private InputException refused(String what) {
        return new InputException(
                file + ": GGUF cannot express " + what + "\n  use the model directory with programs that read it");
    }
}
