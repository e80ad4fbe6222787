package org.sftnative.config;

import java.nio.file.Path;
import java.util.Locale;
import org.sftnative.InputException;

/// What `export` is told.
public record ExportSettings(
        @Setting(
                doc = "directory of the model, or org/name[@revision] on the Hub; adapters must be merged first",
                aliases = "model",
                required = true)
        Path modelNameOrPath,

        @Setting(doc = "gguf: one file for llama.cpp and programs built on it", value = "gguf")
        ExportFormat format,

        @Setting(doc = "f32, f16, bf16 or q8_0: type of the matrices; norms and biases are f32", value = "q8_0")
        ExportType type,

        @Setting(doc = "the file to write", required = true) Path outputFile,

        @Setting(doc = "replace a file that is there", value = "false")
        boolean overwriteOutputFile) {
    public ExportSettings {
        if (!outputFile.toString().toLowerCase(Locale.ROOT).endsWith(".gguf")) { // model.safetensors would be lost
            throw new InputException("setting 'output_file' is " + outputFile
                    + ", must be a file that ends in .gguf: --output-file model.gguf");
        }
    }
}
