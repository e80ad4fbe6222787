package org.sftnative.config;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sftnative.InputException;

/// Low-rank adapters instead of all weights (arXiv 2106.09685); names are those of TRL's ModelConfig and PEFT's
/// LoraConfig. Without `lora_r`, every weight is trained.
public record LoraSettings(
        @Setting(doc = "train adapters of this rank, and no other weight; without it every weight is trained")
        Optional<Integer> loraR,

        @Setting(doc = "adapters count lora_alpha / lora_r times; use_rslora: / sqrt(lora_r)", value = "32")
        double loraAlpha,

        @Setting(doc = "part of an adapter's input that is dropped while training; above 0 costs time", value = "0")
        double loraDropout,

        @Setting(
                doc = "all-linear, ends of module names (q_proj,v_proj), or one regular expression for whole names",
                value = "all-linear")
        List<String> loraTargetModules,

        @Setting(
                doc = "modules trained in full beside the adapters: lm_head, embed_tokens, names of norms",
                aliases = "lora_modules_to_save")
        List<String> modulesToSave,

        @Setting(doc = "scale by alpha / sqrt(rank) (arXiv 2312.03732)", value = "false")
        boolean useRslora,

        @Setting(doc = "magnitudes of the rows are trained apart (DoRA, arXiv 2402.09353)", value = "false")
        boolean useDora,

        @Setting(doc = "LoRA+ (arXiv 2402.12354): the learning rate of every B is this many times A's", value = "1")
        double loraPlusRatio,

        @Setting(doc = "other ranks by module, the first that fits: down_proj=32, layers.0.*q_proj=4")
        List<String> rankPattern,

        @Setting(doc = "other alphas by module: down_proj=64")
        List<String> alphaPattern,

        @Setting(
                doc = "how adapters begin: true (Kaiming A, zero B), gaussian (normal A), or pissa (the largest"
                        + " singular values, taken out of the base; saved as LoRA of twice the rank)",
                value = "true")
        LoraInit initLoraWeights) {
    /// What `lora_target_modules` means by default: every linear layer of a block.
    public static final String ALL_LINEAR = "all-linear";

    /// No adapters.
    public static final LoraSettings NONE = new LoraSettings(
            Optional.empty(),
            32,
            0,
            List.of(ALL_LINEAR),
            List.of(),
            false,
            false,
            1,
            List.of(),
            List.of(),
            LoraInit.TRUE);

    public LoraSettings {
        loraTargetModules = names(loraTargetModules);
        modulesToSave = names(modulesToSave);
        rankPattern = names(rankPattern);
        alphaPattern = names(alphaPattern);
        loraR.ifPresent(r -> Check.that(r >= 1 && r <= 65_536, "lora_r", r, "from 1 to 65536"));
        Check.that(loraAlpha > 0 && Double.isFinite(loraAlpha), "lora_alpha", loraAlpha, "above 0");
        Check.that(loraDropout >= 0 && loraDropout < 1, "lora_dropout", loraDropout, "from 0 to below 1");
        Check.that(loraPlusRatio > 0 && loraPlusRatio <= 1e6, "lora_plus_ratio", loraPlusRatio, "above 0");
        Check.that(!loraTargetModules.isEmpty(), "lora_target_modules", "empty", "names, or " + ALL_LINEAR);
        Check.that(
                initLoraWeights != LoraInit.PISSA || !useDora,
                "init_lora_weights",
                initLoraWeights,
                "true or gaussian with use_dora");
        patterns("rank_pattern", rankPattern).forEach((key, rank) -> {
            boolean whole = rank == Math.rint(rank) && rank >= 1 && rank <= 65_536;
            Check.that(whole, "rank_pattern", key + "=" + rank, "a module and a rank from 1 to 65536");
        });
        patterns("alpha_pattern", alphaPattern).forEach((key, alpha) -> {
            boolean above = alpha > 0 && Double.isFinite(alpha);
            Check.that(above, "alpha_pattern", key + "=" + alpha, "a module and an alpha above 0");
        });
    }

    /// Whether adapters are trained.
    public boolean enabled() {
        return loraR.isPresent();
    }

    /// The first setting that is given and has no effect; empty if there is none.
    ///
    /// @param adapters whether some are trained at all; fresh ones use every setting
    String unused(boolean adapters) {
        if (enabled()) {
            return "";
        }
        Map<String, Boolean> given = new LinkedHashMap<>();
        given.put("lora_alpha", loraAlpha != NONE.loraAlpha);
        given.put("lora_dropout", loraDropout != NONE.loraDropout);
        given.put("lora_target_modules", !loraTargetModules.equals(NONE.loraTargetModules));
        given.put("modules_to_save", !modulesToSave.isEmpty());
        given.put("use_rslora", useRslora);
        given.put("use_dora", useDora);
        given.put("lora_plus_ratio", !adapters && loraPlusRatio != NONE.loraPlusRatio);
        given.put("rank_pattern", !rankPattern.isEmpty());
        given.put("alpha_pattern", !alphaPattern.isEmpty());
        given.put("init_lora_weights", initLoraWeights != NONE.initLoraWeights);
        return given.entrySet().stream()
                .filter(Map.Entry::getValue)
                .map(Map.Entry::getKey)
                .findFirst()
                .orElse("");
    }

    /// Ranks by pattern, in order.
    public Map<String, Integer> ranks() {
        Map<String, Integer> ranks = new LinkedHashMap<>();
        patterns("rank_pattern", rankPattern).forEach((key, rank) -> ranks.put(key, rank.intValue()));
        return ranks;
    }

    /// Alphas by pattern, in order.
    public Map<String, Double> alphas() {
        return patterns("alpha_pattern", alphaPattern);
    }

    /// A list that was written with commas, unless it is one regular expression.
    private static List<String> names(List<String> texts) {
        if (texts.size() == 1 && texts.getFirst().matches("[\\w.=*-]+(,[\\w.=*-]+)*")) {
            return Arrays.asList(texts.getFirst().split(","));
        }
        return List.copyOf(texts);
    }

    private static Map<String, Double> patterns(String setting, List<String> texts) {
        Map<String, Double> patterns = new LinkedHashMap<>();
        for (String text : texts) {
            int at = text.lastIndexOf('=');
            try {
                if (at > 0 && patterns.put(text.substring(0, at), Double.valueOf(text.substring(at + 1))) == null) {
                    continue;
                }
            } catch (NumberFormatException e) {
                // told below
            }
            throw new InputException(
                    "setting '" + setting + "' is " + text + ", must be module=number, each module once");
        }
        return patterns;
    }
}
