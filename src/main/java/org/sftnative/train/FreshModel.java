package org.sftnative.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;
import org.sftnative.config.InitSettings;
import org.sftnative.data.Tokenizer;
import org.sftnative.io.JsonFiles;
import org.sftnative.io.ModelWriter;
import org.sftnative.model.Initialisation;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.ParameterLayout;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Torch;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/// A model with random weights, from a shape and a tokenizer.
public final class FreshModel {
    private FreshModel() {}

    /// Writes a model directory.
    ///
    /// @return what it is, in one line
    public static String create(InitSettings settings) {
        ObjectNode json = shape(settings.config());
        Tokenizer tokenizer = Tokenizer.load(settings.tokenizer());
        complete(json, tokenizer);
        LlamaConfig config = LlamaConfig.of(json);
        if (config.vocabSize() < tokenizer.vocabSize()) {
            throw new InputException(settings.config() + ": vocab_size " + config.vocabSize()
                    + " is smaller than the tokenizer's " + tokenizer.vocabSize()
                    + "\n  leave vocab_size out to take the tokenizer's");
        }
        Path output = settings.outputDir();
        OutputDirectory target = new OutputDirectory(output);
        target.check(settings.overwriteOutputDir(), "or replace what is there with --overwrite-output-dir");
        Torch.start(0);
        Dtype dtype = Dtype.valueOf(
                switch (settings.dtype()) {
                    case FLOAT32 -> "F32";
                    case BFLOAT16 -> "BF16";
                    case FLOAT16 -> "F16";
                });
        ParameterLayout layout = ParameterLayout.of(config);
        try (Parameters parameters = new Parameters(layout, Dtype.F32, Devices.cpu())) {
            Initialisation.fill(parameters, config, settings.seed());
            target.create();
            ModelWriter.save(
                    output, json, dtype, LlamaFiles.sources(parameters, dtype), Optional.of(settings.tokenizer()));
        }
        return output + ": " + config.modelType() + ", " + layout.parameterCount() + " parameters, " + dtype.hfName()
                + ", seed " + settings.seed();
    }

    private static ObjectNode shape(Path file) {
        try {
            JsonNode json = new YAMLMapper().readTree(Files.readString(file));
            if (json instanceof ObjectNode object) {
                return object;
            }
            throw new InputException(file + " is no mapping\n  it holds the keys of a config.json: hidden_size: 256");
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + e.getMessage(), e);
        } catch (JacksonException e) {
            throw new InputException(file + ":" + e.getLocation().getLineNr() + ": " + JsonFiles.problem(e), e);
        }
    }

    /// What a shape need not say.
    private static void complete(ObjectNode json, Tokenizer tokenizer) {
        if (!json.has("model_type")) {
            json.put("model_type", "llama");
        }
        if (!json.has("architectures")) {
            json.putArray("architectures").add("LlamaForCausalLM");
        }
        if (!json.has("vocab_size")) {
            json.put("vocab_size", tokenizer.vocabSize());
        }
        if (!json.has("hidden_act")) {
            json.put("hidden_act", "silu");
        }
        if (!json.has("bos_token_id")) {
            tokenizer.bosId().ifPresent(id -> json.put("bos_token_id", id));
        }
        if (!json.has("eos_token_id")) {
            tokenizer.eosId().ifPresent(id -> json.put("eos_token_id", id));
        }
    }
}
