package org.sftnative.config;

import java.nio.file.Path;

/// What `init` is told: the shape of a model to be born with random weights.
public record InitSettings(
        @Setting(doc = "YAML file of the shape, with the keys of a LLaMA config.json", required = true)
        Path config,

        @Setting(
                doc = "directory of the tokenizer (tokenizer.json, tokenizer_config.json), or org/name on the Hub",
                required = true)
        Path tokenizer,

        @Setting(doc = "where the model goes", required = true)
        Path outputDir,

        @Setting(doc = "write into an output directory that is not empty", value = "false")
        boolean overwriteOutputDir,

        @Setting(doc = "seed of the weights", value = "42") long seed,

        @Setting(doc = "float32, bfloat16 or float16", value = "float32", aliases = "torch_dtype")
        WeightDtype dtype) {}
