package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// What `generate` is told. The prompt comes from exactly one of `prompt`, `promptFile`, `instruction` and `inputFile`.
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

        @Setting(
                doc = "rows to answer, of any format: files, directories or globs; what they say as answer is left out")
        List<Path> inputFile,

        @Setting(doc = "JSON Lines of the answers, one a row of --input-file and in its order")
        Optional<Path> outputFile,

        @Setting(doc = "answers a row, each with a seed of its own", value = "1")
        int numReturnSequences,

        @Setting(doc = "what the fields of a row mean; auto: as the first rows show", value = "auto")
        FormatChoice format,

        @Setting(doc = "a field's name in the rows, as the format's name = the row's: output=response")
        List<String> field,

        @Setting(doc = "rows that are broken or too long, skipped and counted; one more ends the run", value = "0")
        int maxBad,

        @Setting(doc = "a built-in chat template, or a Jinja file; default: the model's own")
        Optional<String> chatTemplate,

        SamplingSettings sampling,
        BatchSettings batch) {
    public GenerateSettings {
        inputFile = List.copyOf(inputFile);
        field = List.copyOf(field);
        long prompts = Stream.of(
                        prompt, promptFile, instruction, inputFile.stream().findFirst())
                .filter(Optional::isPresent)
                .count();
        if (prompts != 1) {
            throw new InputException("generate needs one prompt, got " + prompts
                    + "\n  give one of --prompt, --prompt-file, --instruction and --input-file");
        }
        if (input.isPresent() && instruction.isEmpty()) {
            throw new InputException("--input goes with --instruction only\n  put it into the prompt itself");
        }
        if (inputFile.isEmpty() == outputFile.isPresent()) {
            throw new InputException(
                    (inputFile.isEmpty() ? "--output-file needs --input-file" : "--input-file needs --output-file")
                            + "\n  rows in, answers out: --input-file rows.jsonl --output-file answers.jsonl");
        }
        Check.that(maxBad >= 0, "max_bad", maxBad, "0 or more");
        Check.that(
                numReturnSequences >= 1 && numReturnSequences <= 1000,
                "num_return_sequences",
                numReturnSequences,
                "from 1 to 1000");
        if (numReturnSequences > 1 && (inputFile.isEmpty() || sampling.temperature() == 0)) {
            throw new InputException("setting 'num_return_sequences' is " + numReturnSequences
                    + (inputFile.isEmpty()
                            ? ", and there is no --input-file"
                            : ", and without --temperature all are equal"));
        }
    }
}
