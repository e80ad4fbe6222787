package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;

/// The shape of a LLaMA-family model, read from `config.json`.
/// C hidden size, F ffn size, H query heads, K kv heads, D head size, V vocabulary.
///
/// @param modelType `llama`, `mistral` or `qwen2`
/// @param vocabSize V
/// @param hiddenSize C
/// @param intermediateSize F
/// @param nLayer decoder blocks
/// @param nHead H
/// @param nKvHead K, a divisor of H
/// @param headDim D
/// @param rmsNormEps epsilon of every norm
/// @param rope positions
/// @param maxPositionEmbeddings longest document that the model was made for
/// @param tieWordEmbeddings whether the head is the embedding
/// @param qkvBias biases on q, k and v
/// @param outBias a bias on the attention's output projection
/// @param mlpBias biases in the MLP
/// @param initializerRange standard deviation of fresh weights
/// @param bosTokenId first token of a text
/// @param eosTokenIds tokens that end a text
public record LlamaConfig(
        String modelType,
        int vocabSize,
        int hiddenSize,
        int intermediateSize,
        int nLayer,
        int nHead,
        int nKvHead,
        int headDim,
        double rmsNormEps,
        Rope rope,
        int maxPositionEmbeddings,
        boolean tieWordEmbeddings,
        boolean qkvBias,
        boolean outBias,
        boolean mlpBias,
        double initializerRange,
        OptionalInt bosTokenId,
        List<Integer> eosTokenIds) {
    /// The model types that are LLaMA in all but name.
    public static final List<String> MODEL_TYPES = List.of("llama", "mistral", "qwen2");

    /// Far beyond any model, and small enough that sizes of weights do not overflow 64 bits, nor lists of their names
    /// the memory.
    private static final int WIDEST = 1 << 20;

    public LlamaConfig {
        eosTokenIds = List.copyOf(eosTokenIds);
        bounded("vocab_size", vocabSize, 1 << 26);
        bounded("hidden_size", hiddenSize, WIDEST);
        bounded("intermediate_size", intermediateSize, 4 * WIDEST);
        bounded("num_hidden_layers", nLayer, 1 << 13);
        bounded("num_attention_heads", nHead, WIDEST);
        bounded("num_key_value_heads", nKvHead, WIDEST);
        bounded("head_dim", headDim, WIDEST);
        bounded("num_attention_heads times head_dim", (long) nHead * headDim, WIDEST);
        bounded("max_position_embeddings", maxPositionEmbeddings, Integer.MAX_VALUE);
        if (nHead % nKvHead != 0) {
            throw new InputException("config.json: num_attention_heads " + nHead
                    + " is not a multiple of num_key_value_heads " + nKvHead);
        }
        if (headDim % 2 != 0) {
            throw new InputException("config.json: head_dim is " + headDim + ", must be even");
        }
        if (!(rmsNormEps > 0)) {
            throw new InputException("config.json: rms_norm_eps is " + rmsNormEps + ", must be above 0");
        }
    }

    /// Reads `config.json`.
    ///
    /// @throws InputException naming the field that is missing, wrong or not supported
    public static LlamaConfig of(JsonNode json) {
        String type = json.path("model_type").asString("");
        if (!MODEL_TYPES.contains(type)) {
            throw new InputException(
                    "config.json: model_type is '" + type + "'\n  supported: " + String.join(", ", MODEL_TYPES));
        }
        Fields f = new Fields(json);
        f.refuseUnless("hidden_act", "silu");
        f.refuseUnless("rope_interleaved", "false");
        int heads = f.integer("num_attention_heads");
        int hidden = f.integer("hidden_size");
        int max = f.integer("max_position_embeddings", 2048);
        boolean slides = type.equals("qwen2") ? f.flag("use_sliding_window", false) : type.equals("mistral");
        int window = f.integer("sliding_window", 0);
        if (slides && window > 0 && window < max) {
            throw new InputException(
                    "config.json: sliding_window " + window + " is shorter than max_position_embeddings " + max
                            + ", which is not supported\n  set sliding_window to null to attend to whole documents");
        }
        int headDim = f.integer("head_dim", hidden / Math.max(1, heads));
        boolean attentionBias = f.flag("attention_bias", false);
        List<Integer> eos = new ArrayList<>();
        JsonNode ids = json.path("eos_token_id");
        (ids.isArray() ? ids.values() : List.of(ids))
                .stream().filter(JsonNode::isInt).forEach(n -> eos.add(n.asInt()));
        JsonNode bos = json.path("bos_token_id");
        return new LlamaConfig(
                type,
                f.integer("vocab_size"),
                hidden,
                f.integer("intermediate_size"),
                f.integer("num_hidden_layers"),
                heads,
                f.integer("num_key_value_heads", heads),
                headDim,
                f.number("rms_norm_eps", 1e-6),
                f.rope(headDim, max),
                max,
                f.flag("tie_word_embeddings", false),
                type.equals("qwen2") || attentionBias,
                attentionBias && !type.equals("qwen2"),
                f.flag("mlp_bias", false),
                f.number("initializer_range", 0.02),
                bos.isInt() ? OptionalInt.of(bos.asInt()) : OptionalInt.empty(),
                eos);
    }

    /// Width of the query projection: H * D.
    public int qSize() {
        return nHead * headDim;
    }

    /// Width of the key projection, and of the value projection: K * D.
    public int kvSize() {
        return nKvHead * headDim;
    }

    private static void bounded(String field, long value, long most) {
        if (value <= 0 || value > most) {
            throw new InputException("config.json: " + field + " is " + value + ", must be "
                    + (value <= 0 ? "above 0" : "at most " + most));
        }
    }

    /// Typed access to `config.json`, with errors that name the field. A JSON null counts as absent.
    private record Fields(JsonNode json) {
        int integer(String name) {
            return present(json, name)
                    .map(n -> toInt(name, n))
                    .orElseThrow(() -> new InputException("config.json: '" + name + "' is missing"));
        }

        int integer(String name, int absent) {
            return present(json, name).map(n -> toInt(name, n)).orElse(absent);
        }

        double number(String name, double absent) {
            return present(json, name).map(n -> toDouble(name, n)).orElse(absent);
        }

        boolean flag(String name, boolean absent) {
            return present(json, name)
                    .map(n -> {
                        if (!n.isBoolean()) {
                            throw wrong(name, n, "true or false");
                        }
                        return n.asBoolean();
                    })
                    .orElse(absent);
        }

        void refuseUnless(String name, String supported) {
            present(json, name).ifPresent(n -> {
                if (!n.asString("").equals(supported)) {
                    throw wrong(name, n, supported + " (nothing else is supported)");
                }
            });
        }

        Rope rope(int headDim, int max) {
            JsonNode parameters = present(json, "rope_parameters").orElse(json);
            JsonNode scaling = present(json, "rope_scaling").orElse(parameters == json ? json.path("-") : parameters);
            double theta = present(scaling, "rope_theta")
                    .or(() -> present(parameters, "rope_theta"))
                    .or(() -> present(json, "rope_theta"))
                    .map(n -> toDouble("rope_theta", n))
                    .orElse(10000.0);
            if (!(theta > 0)) {
                throw new InputException("config.json: rope_theta is " + theta + ", must be above 0");
            }
            double partial = present(scaling, "partial_rotary_factor")
                    .map(n -> toDouble("partial_rotary_factor", n))
                    .orElse(1.0);
            if (partial != 1.0) {
                throw new InputException("config.json: partial_rotary_factor is " + partial + ", supported: 1.0");
            }
            return new Rope(theta, headDim, scaling(new Fields(scaling), max));
        }

        private static RopeScaling scaling(Fields f, int max) {
            JsonNode json = f.json;
            String type = present(json, "rope_type")
                    .or(() -> present(json, "type"))
                    .map(node -> node.asString(""))
                    .orElse("default");
            return switch (type) {
                case "default" -> new RopeScaling.Default();
                case "linear" -> new RopeScaling.Linear(f.required("factor"));
                case "dynamic" ->
                    new RopeScaling.Dynamic(f.required("factor"), max); // transformers heeds no other maximum
                case "llama3" ->
                    new RopeScaling.Llama3(
                            f.required("factor"),
                            f.required("low_freq_factor"),
                            f.required("high_freq_factor"),
                            f.integer("original_max_position_embeddings"));
                default ->
                    throw new InputException(
                            "config.json: rope_type is '" + type + "'\n  supported: default, linear, dynamic, llama3");
            };
        }

        private double required(String name) {
            double value = present(json, name)
                    .map(n -> toDouble(name, n))
                    .orElseThrow(() -> new InputException("config.json: rope scaling has no '" + name + "'"));
            if (!(value > 0) || Double.isInfinite(value)) {
                throw new InputException("config.json: rope scaling's " + name + " is " + value + ", must be above 0");
            }
            return value;
        }

        private static Optional<JsonNode> present(JsonNode json, String name) {
            JsonNode node = json.path(name);
            return node.isMissingNode() || node.isNull() ? Optional.empty() : Optional.of(node);
        }

        private static int toInt(String name, JsonNode node) {
            if (!node.isIntegralNumber() || !node.canConvertToInt()) {
                throw wrong(name, node, "an integer");
            }
            return node.asInt();
        }

        private static double toDouble(String name, JsonNode node) {
            OptionalDouble value = node.isNumber() ? node.asDoubleOpt() : OptionalDouble.empty();
            if (value.isEmpty() || !Double.isFinite(value.getAsDouble())) {
                throw wrong(name, node, "a number");
            }
            return value.getAsDouble();
        }

        private static InputException wrong(String name, JsonNode node, String expected) {
            String given = node.toString();
            String shown = given.length() > 80 ? given.substring(0, 80) + "..." : given;
            return new InputException("config.json: " + name + " is " + shown + ", must be " + expected);
        }
    }
}
