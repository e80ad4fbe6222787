package org.sftnative.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.sftnative.InputException;
import org.sftnative.config.LoraInit;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `adapter_config.json` of PEFT 0.21 and older, read and written. A field is honoured, or has no effect on an adapter
/// that is trained already, or the file is refused by the field's name: an adapter is never applied as something else
/// than it is.
final class PeftConfig {
    /// What a field is where the file does not say, as PEFT has it.
    private static final int DEFAULT_R = 8;

    private static final double DEFAULT_ALPHA = 8;

    /// What PEFT targets in these models where the file does not say.
    private static final List<String> DEFAULT_TARGETS = List.of("q_proj", "v_proj");

    /// Read below.
    private static final Set<String> HONOURED = Set.of(
            "peft_type",
            "task_type",
            "r",
            "lora_alpha",
            "lora_dropout",
            "target_modules",
            "exclude_modules",
            "layers_to_transform",
            "layers_pattern",
            "modules_to_save",
            "use_rslora",
            "use_dora",
            "rank_pattern",
            "alpha_pattern",
            "init_lora_weights",
            "bias",
            "fan_in_fan_out",
            "ensure_weight_tying");

    /// Where the adapter comes from, how it was begun, and how PEFT holds it in memory: no number depends on them.
    private static final Set<String> WITHOUT_EFFECT = Set.of(
            "auto_mapping",
            "base_model_name_or_path",
            "revision",
            "inference_mode",
            "peft_version",
            "eva_config",
            "megatron_core",
            "qalora_group_size",
            "runtime_config");

    /// Why a field that is set cannot be honoured.
    private static final Map<String, String> REFUSED = Map.ofEntries(
            Map.entry("lora_bias", "adapters with a bias are not supported"),
            Map.entry("target_parameters", "adapters of parameters that are no linear layer are not supported"),
            Map.entry("trainable_token_indices", "trained rows of an embedding are not supported"),
            Map.entry("layer_replication", "repeated layers are not supported"),
            Map.entry("alora_invocation_tokens", "activated LoRA is not supported"),
            Map.entry("use_qalora", "QALoRA is not supported"),
            Map.entry("use_bdlora", "block-diagonal LoRA is not supported"),
            Map.entry("arrow_config", "Arrow routing is not supported"),
            Map.entry("monteclora_config", "MonteCLoRA is not supported"),
            Map.entry("kasa_config", "KaSA is not supported"),
            Map.entry("velora_config", "VeLoRA is not supported"),
            Map.entry("megatron_config", "Megatron's layers are not supported"),
            Map.entry("loftq_config", "LoftQ changes the base model"),
            Map.entry("corda_config", "CorDA changes the base model"),
            Map.entry("lora_ga_config", "LoRA-GA changes the base model"));

    private final String file;
    private final ObjectNode json;

    private PeftConfig(String file, ObjectNode json) {
        this.file = file;
        this.json = json;
    }

    /// What a file says of adapters over a model.
    ///
    /// @param file its name, for messages
    /// @throws InputException naming the field that is wrong, or cannot be honoured
    static AdapterConfig read(String file, ObjectNode json, LlamaConfig model) {
        return new PeftConfig(file, json).read(model);
    }

    private AdapterConfig read(LlamaConfig model) {
        checkFields();
        List<String> saved = strings("modules_to_save");
        AdapterConfig config = new AdapterConfig(
                (int) whole("r", DEFAULT_R, 1, 65_536),
                number("lora_alpha", DEFAULT_ALPHA),
                number("lora_dropout", 0),
                targets(),
                saved,
                flag("use_rslora"),
                flag("use_dora"),
                pattern("rank_pattern", node -> node.isInt() && node.intValue() >= 1 ? node.intValue() : null),
                pattern("alpha_pattern", node -> finite(node) > 0 ? finite(node) : null),
                LoraInit.TRUE); // how it began is past
        require(config.alpha() > 0, "lora_alpha", "must be above 0");
        require(config.dropout() >= 0 && config.dropout() < 1, "lora_dropout", "must be from 0 to below 1");
        return narrowed(config, model);
    }

    private void checkFields() {
        JsonNode type = json.path("peft_type");
        require(
                type.isString() && type.stringValue().equals("LORA"),
                "peft_type",
                "only LORA is supported: the adapter must have been trained as LoRA, rsLoRA or DoRA");
        JsonNode task = json.path("task_type");
        require(
                absent(task) || task.isString() && task.stringValue().equals("CAUSAL_LM"),
                "task_type",
                "only CAUSAL_LM is supported");
        JsonNode bias = json.path("bias");
        require(
                absent(bias) || bias.isString() && bias.stringValue().equals("none"),
                "bias",
                "only none is supported: trained biases of the base are not");
        require(!flag("fan_in_fan_out"), "fan_in_fan_out", "the layers of these models are not transposed");
        require(
                !flag("ensure_weight_tying") || strings("modules_to_save").isEmpty(),
                "ensure_weight_tying",
                "weights that are tied to trained modules are not supported");
        JsonNode init = json.path("init_lora_weights");
        boolean sameBase = absent(init)
                || init.isBoolean()
                || init.isString() && Set.of("gaussian", "orthogonal", "eva").contains(init.stringValue());
        require(
                sameBase,
                "init_lora_weights",
                "such an adapter changes the base model when it begins"
                        + ": convert it with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...)");
        for (Map.Entry<String, JsonNode> field : json.properties()) {
            String name = field.getKey();
            if (HONOURED.contains(name) || WITHOUT_EFFECT.contains(name) || isOff(field.getValue())) {
                continue;
            }
            require(false, name, REFUSED.getOrDefault(name, "this program does not know the field"));
        }
    }

    /// The targets that are left by `exclude_modules` and `layers_to_transform`, by their whole names; as they stand
    /// where neither is given.
    private AdapterConfig narrowed(AdapterConfig config, LlamaConfig model) {
        List<Long> layers = layers();
        boolean byLayer = !layers.isEmpty() && config.targets() instanceof AdapterConfig.Targets.Names;
        if (!byLayer && isOff(json.path("exclude_modules"))) {
            return config;
        }
        List<String> excluded = strings("exclude_modules");
        boolean regex = json.path("exclude_modules").isString();
        List<String> patterns = strings("layers_pattern");
        List<String> kept = config.specs(model).stream()
                .filter(spec -> !byLayer
                        || layers.contains((long) spec.layer())
                                && (patterns.isEmpty() || patterns.stream().anyMatch(p -> isLayer(p, spec))))
                .map(AdapterSpec::module)
                .filter(module -> excluded.stream()
                        .noneMatch(out -> regex
                                ? BoundedRegex.matches(out, module)
                                : module.equals(out) || module.endsWith("." + out)))
                .toList();
        require(!kept.isEmpty(), "target_modules", "nothing is left of them by the fields that narrow them down");
        return new AdapterConfig(
                config.r(),
                config.alpha(),
                config.dropout(),
                new AdapterConfig.Targets.Names(kept),
                config.modulesToSave(),
                config.useRslora(),
                config.useDora(),
                config.rankPattern(),
                config.alphaPattern(),
                config.init());
    }

    private static boolean isLayer(String pattern, AdapterSpec spec) {
        return BoundedRegex.matches("(.*?\\.)?(" + pattern + ")\\." + spec.layer() + "\\..*", spec.module());
    }

    private List<Long> layers() {
        JsonNode node = json.path("layers_to_transform");
        if (absent(node)) {
            return List.of();
        }
        List<Long> layers = new ArrayList<>();
        for (JsonNode layer : node.isArray() ? node.values() : List.of(node)) {
            require(layer.isInt() && layer.intValue() >= 0, "layers_to_transform", "must be layers, from 0");
            layers.add(layer.longValue());
        }
        return layers;
    }

    private AdapterConfig.Targets targets() {
        JsonNode node = json.path("target_modules");
        if (node.isString()) {
            String text = node.stringValue();
            return text.equalsIgnoreCase("all-linear")
                    ? new AdapterConfig.Targets.AllLinear()
                    : new AdapterConfig.Targets.Regex(text);
        }
        List<String> names = strings("target_modules");
        require(absent(node) || !names.isEmpty(), "target_modules", "names no module");
        return new AdapterConfig.Targets.Names(names.isEmpty() ? DEFAULT_TARGETS : names);
    }

    /// A list of texts; one text is a list of one.
    private List<String> strings(String field) {
        JsonNode node = json.path(field);
        if (absent(node)) {
            return List.of();
        }
        if (node.isString()) {
            return List.of(node.stringValue());
        }
        require(node.isArray(), field, "must be a list of names");
        List<String> texts = new ArrayList<>();
        for (JsonNode text : node.values()) {
            require(text.isString(), field, "must be a list of names");
            texts.add(text.stringValue());
        }
        return texts;
    }

    private boolean flag(String field) {
        JsonNode node = json.path(field);
        require(absent(node) || node.isBoolean(), field, "must be true or false");
        return node.isBoolean() && node.booleanValue();
    }

    private long whole(String field, long otherwise, long least, long most) {
        JsonNode node = json.path(field);
        if (node.isMissingNode()) {
            return otherwise;
        }
        require(
                node.isIntegralNumber()
                        && node.canConvertToLong()
                        && node.longValue() >= least
                        && node.longValue() <= most,
                field,
                "must be a whole number from " + least + " to " + most);
        return node.longValue();
    }

    private double number(String field, double otherwise) {
        JsonNode node = json.path(field);
        if (node.isMissingNode()) {
            return otherwise;
        }
        require(!Double.isNaN(finite(node)), field, "must be a number");
        return finite(node);
    }

    /// NaN if it is none, or beyond a double.
    private static double finite(JsonNode node) {
        double value = node.isNumber() ? node.asDouble(Double.NaN) : Double.NaN;
        return Double.isFinite(value) ? value : Double.NaN;
    }

    private <T> Map<String, T> pattern(String field, Function<JsonNode, T> value) {
        JsonNode node = json.path(field);
        Map<String, T> patterns = new LinkedHashMap<>();
        if (absent(node)) {
            return patterns;
        }
        require(node.isObject(), field, "must be an object of patterns and numbers");
        node.properties().forEach(entry -> {
            Optional<T> read = Optional.ofNullable(value.apply(entry.getValue()));
            require(read.isPresent(), field, "has a number for '" + entry.getKey() + "' that is none, or not above 0");
            patterns.put(entry.getKey(), read.orElseThrow());
        });
        return patterns;
    }

    private void require(boolean holds, String field, String why) {
        if (!holds) {
            String value = json.path(field).toString();
            String shown = value.length() > 120 ? value.substring(0, 120) + "..." : value;
            throw new InputException(
                    file + ": " + field + " is " + (value.isEmpty() ? "missing" : shown) + "\n  " + why);
        }
    }

    private static boolean absent(JsonNode node) {
        return node.isMissingNode() || node.isNull();
    }

    private static boolean isOff(JsonNode node) {
        return absent(node)
                || node.isBoolean() && !node.booleanValue()
                || (node.isArray() || node.isObject()) && node.isEmpty();
    }

    /// The file for adapters: only fields that every PEFT since 0.9 knows.
    ///
    /// @param base path or name of the base model
    static ObjectNode write(AdapterConfig config, String base) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("peft_type", "LORA").put("task_type", "CAUSAL_LM").put("inference_mode", true);
        json.put("base_model_name_or_path", base).putNull("revision").putNull("auto_mapping");
        json.put("r", config.r()).put("lora_dropout", config.dropout());
        json.set("lora_alpha", numberNode(config.alpha()));
        json.put("bias", "none").put("fan_in_fan_out", false).put("init_lora_weights", true);
        json.put("use_rslora", config.useRslora()).put("use_dora", config.useDora());
        json.putNull("layers_to_transform").putNull("layers_pattern");
        ObjectNode ranks = json.putObject("rank_pattern");
        config.rankPattern().forEach(ranks::put);
        ObjectNode alphas = json.putObject("alpha_pattern");
        config.alphaPattern().forEach((key, alpha) -> alphas.set(key, numberNode(alpha)));
        if (config.modulesToSave().isEmpty()) {
            json.putNull("modules_to_save");
        } else {
            list(json.putArray("modules_to_save"), config.modulesToSave());
        }
        switch (config.targets()) {
            case AdapterConfig.Targets.Regex(String regex) -> json.put("target_modules", regex);
            case AdapterConfig.Targets.Names(List<String> names) -> list(json.putArray("target_modules"), names);
            case AdapterConfig.Targets.AllLinear _ -> {
                ArrayNode names = json.putArray("target_modules");
                for (Projection projection : Projection.values()) {
                    String module = projection.module(0);
                    names.add(module.substring(module.lastIndexOf('.') + 1));
                }
            }
        }
        return json;
    }

    private static void list(ArrayNode array, List<String> texts) {
        texts.forEach(array::add);
    }

    /// A whole number as one: PEFT's own is an int.
    private static JsonNode numberNode(double value) {
        boolean whole = value == Math.rint(value) && Math.abs(value) < 1e9;
        return whole ? JsonNodeFactory.instance.numberNode((int) value) : JsonNodeFactory.instance.numberNode(value);
    }
}
