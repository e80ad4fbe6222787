package org.sftnative.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.LoraInit;
import org.sftnative.config.LoraSettings;

/// What `adapter_config.json` says of adapters: names and meanings are those of PEFT's LoraConfig.
///
/// @param r rank
/// @param alpha what scaling is computed of
/// @param dropout of the adapters' input while training
/// @param targets which linear layers have an adapter
/// @param modulesToSave modules that are trained in full: the last parts of their names
/// @param rankPattern other ranks: a regular expression for the end of a module's name -> rank
/// @param alphaPattern other alphas, likewise
public record AdapterConfig(
        int r,
        double alpha,
        double dropout,
        Targets targets,
        List<String> modulesToSave,
        boolean useRslora,
        boolean useDora,
        Map<String, Integer> rankPattern,
        Map<String, Double> alphaPattern,
        LoraInit init) {
    /// Which modules are meant.
    public sealed interface Targets {
        /// Every linear layer but the head.
        record AllLinear() implements Targets {}

        /// Modules with one of these names, or whose name ends with one after a dot.
        record Names(List<String> names) implements Targets {}

        /// Modules whose whole name matches.
        record Regex(String regex) implements Targets {}
    }

    /// What `train` is told.
    ///
    /// @throws IllegalArgumentException if the settings ask for no adapters
    public static AdapterConfig of(LoraSettings s) {
        int r = s.loraR().orElseThrow(() -> new IllegalArgumentException("no adapters are asked for"));
        return new AdapterConfig(
                r,
                s.loraAlpha(),
                s.loraDropout(),
                targets(s.loraTargetModules()),
                s.modulesToSave(),
                s.useRslora(),
                s.useDora(),
                s.ranks(),
                s.alphas(),
                s.initLoraWeights());
    }

    /// The same adapters with twice the rank and the same scaling: what a file says of those that [Pissa] began.
    public AdapterConfig doubled() {
        double more = useRslora ? Math.sqrt(2) : 2;
        Map<String, Integer> ranks = new LinkedHashMap<>();
        rankPattern.forEach((key, rank) -> ranks.put(key, 2 * rank));
        Map<String, Double> alphas = new LinkedHashMap<>();
        alphaPattern.forEach((key, other) -> alphas.put(key, more * other));
        return new AdapterConfig(
                2 * r, more * alpha, dropout, targets, modulesToSave, useRslora, useDora, ranks, alphas, LoraInit.TRUE);
    }

    private static Targets targets(List<String> texts) {
        if (texts.equals(List.of(LoraSettings.ALL_LINEAR))) {
            return new Targets.AllLinear();
        }
        boolean names = texts.size() > 1 || texts.getFirst().matches("[\\w.]+");
        return names ? new Targets.Names(texts) : new Targets.Regex(texts.getFirst());
    }

    /// The adapters of a model, in the order of its layers.
    ///
    /// @throws InputException if nothing matches, naming what there is, or a pattern takes too long
    public List<AdapterSpec> specs(LlamaConfig model) {
        List<AdapterSpec> specs = new ArrayList<>();
        for (int layer = 0; layer < model.nLayer(); layer++) {
            for (Projection projection : Projection.values()) {
                if (isTarget(projection.module(layer))) {
                    specs.add(spec(model, layer, projection));
                }
            }
        }
        if (specs.isEmpty()) {
            throw new InputException("lora_target_modules " + shown() + " match no linear layer of the model"
                    + "\n  there are " + existing() + " in layers 0 to " + (model.nLayer() - 1)
                    + ", as " + Projection.Q.module(0));
        }
        checkNames(model);
        return List.copyOf(specs);
    }

    private AdapterSpec spec(LlamaConfig model, int layer, Projection projection) {
        String module = projection.module(layer);
        int rank = pattern(rankPattern, module).orElse(r);
        long most = Math.min(projection.in(model), projection.out(model));
        if (init == LoraInit.PISSA && rank > most) {
            throw new InputException("init_lora_weights pissa: rank " + rank + " of " + module + " is above the " + most
                    + " singular values of its matrix\n  lower lora_r");
        }
        double scale = pattern(alphaPattern, module).orElse(alpha) / (useRslora ? Math.sqrt(rank) : rank);
        return new AdapterSpec(
                module, layer, projection, projection.in(model), projection.out(model), rank, scale, useDora);
    }

    private boolean isTarget(String module) {
        boolean saved = modulesToSave.stream().anyMatch(name -> endsWith(module, name));
        return !saved
                && switch (targets) {
                    case Targets.AllLinear _ -> true;
                    case Targets.Names(List<String> names) -> names.stream().anyMatch(name -> endsWith(module, name));
                    case Targets.Regex(String regex) -> BoundedRegex.matches(regex, module);
                };
    }

    private static boolean endsWith(String module, String name) {
        return module.equals(name) || module.endsWith("." + name);
    }

    /// Each name of a list must be of some module: a slip in one is told, not passed over.
    private void checkNames(LlamaConfig model) {
        if (!(targets instanceof Targets.Names(List<String> names))) {
            return;
        }
        for (String name : names) {
            boolean there = false;
            for (int layer = 0; layer < model.nLayer() && !there; layer++) {
                for (Projection projection : Projection.values()) {
                    there |= endsWith(projection.module(layer), name);
                }
            }
            if (!there) {
                throw new InputException("lora_target_modules: no linear layer of the blocks is named '" + name + "'"
                        + "\n  there are " + existing()
                        + (name.equals("lm_head") || name.equals("embed_tokens")
                                ? "; train " + name + " in full with --modules-to-save " + name
                                : ""));
            }
        }
    }

    /// The weights that are trained in full beside the adapters, in layer order.
    ///
    /// @throws InputException if a name is of no module, or of one that cannot be trained in full
    public List<String> savedWeights(LlamaConfig model) {
        List<String> modules = new ArrayList<>(List.of("model.embed_tokens"));
        for (int layer = 0; layer < model.nLayer(); layer++) {
            modules.add("model.layers." + layer + ".input_layernorm");
            modules.add("model.layers." + layer + ".post_attention_layernorm");
        }
        modules.add("model.norm");
        modules.add("lm_head");
        for (String name : modulesToSave) {
            if (modules.stream().noneMatch(module -> module.endsWith(name))) {
                throw new InputException("modules_to_save: '" + name + "' is no module that is trained in full"
                        + "\n  there are embed_tokens, lm_head, norm, input_layernorm, post_attention_layernorm");
            }
        }
        if (model.tieWordEmbeddings()
                && modulesToSave.stream()
                        .anyMatch(name -> "lm_head".endsWith(name) || "model.embed_tokens".endsWith(name))) {
            throw new InputException("modules_to_save is " + modulesToSave
                    + ", but this model's head is its embedding: trained in full, they would come apart"
                    + "\n  leave them out, or train every weight");
        }
        return modules.stream()
                .filter(module -> modulesToSave.stream().anyMatch(module::endsWith)) // `norm`: all norms, as in PEFT
                .map(module -> module + ".weight")
                .toList();
    }

    /// Numbers that are trained over a model.
    public long trainedCount(LlamaConfig model) {
        return ParameterLayout.of(specs(model), savedWeights(model), model).parameterCount();
    }

    /// The sum of all adapters' ranks over a model.
    public long rankSum(LlamaConfig model) {
        return specs(model).stream().mapToLong(AdapterSpec::rank).sum();
    }

    private String shown() {
        return switch (targets) {
            case Targets.AllLinear _ -> "'" + LoraSettings.ALL_LINEAR + "'";
            case Targets.Names(List<String> names) -> "'" + String.join(",", names) + "'";
            case Targets.Regex(String regex) -> "'" + regex + "'";
        };
    }

    private static String existing() {
        return Arrays.stream(Projection.values())
                .map(p -> p.module(0))
                .map(m -> m.substring(m.lastIndexOf('.') + 1))
                .collect(Collectors.joining(", "));
    }

    /// The value of the first pattern that fits the end of a module's name, as PEFT's `get_pattern_key` finds it.
    private static <T> Optional<T> pattern(Map<String, T> patterns, String module) {
        return patterns.entrySet().stream()
                .filter(e -> BoundedRegex.matches("(.*\\.)?(" + e.getKey() + ")", module))
                .map(Map.Entry::getValue)
                .findFirst();
    }
}
