package org.sftnative.config;

import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// What `generate` is told. The prompt comes from exactly one of `prompt`, `promptFile` and `instruction`.
public record GenerateSettings(
        ModelSettings model,

        @Setting(doc = "question to answer in the model's chat template; without one, text to continue")
        Optional<String> prompt,

        @Setting(doc = "file of the text to continue, as it stands")
        Optional<Path> promptFile,

        @Setting(doc = "instruction to answer, in the Alpaca template")
        Optional<String> instruction,

        @Setting(doc = "the input that goes with --instruction")
        Optional<String> input,

        @Setting(doc = "stop after this many new tokens", value = "256")
        int maxNewTokens,

        @Setting(doc = "0: the likeliest token each time; above: sample, higher is wilder", value = "0")
        double temperature,

        @Setting(doc = "sample from the likeliest tokens that make up this probability", value = "1.0")
        double topP,

        @Setting(doc = "seed of sampling", value = "42") long seed) {
    public GenerateSettings {
        long prompts = Stream.of(prompt, promptFile, instruction)
                .filter(Optional::isPresent)
                .count();
        if (prompts != 1) {
            throw new InputException("generate needs one prompt, got " + prompts
                    + "\n  give one of --prompt, --prompt-file and --instruction");
        }
        if (input.isPresent() && instruction.isEmpty()) {
            throw new InputException("--input goes with --instruction only\n  put it into the prompt itself");
        }
        Check.that(maxNewTokens >= 1, "max_new_tokens", maxNewTokens, "1 or more");
        Check.that(temperature >= 0 && Double.isFinite(temperature), "temperature", temperature, "0 or more");
        Check.that(topP > 0 && topP <= 1, "top_p", topP, "above 0, at most 1");
    }
}
