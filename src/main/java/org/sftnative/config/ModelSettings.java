package org.sftnative.config;

import java.nio.file.Path;

/// Which model, and where and how it computes.
public record ModelSettings(
        @Setting(
                doc = "directory of the model: config.json, safetensors, tokenizer.json",
                aliases = "model",
                required = true)
        Path modelNameOrPath,

        @Setting(doc = "auto, cpu, cuda or cuda:N", value = "auto")
        String device,

        @Setting(doc = "auto (cpu: fp32, cuda: bf16), fp32, bf16-autocast or bf16", value = "auto")
        PrecisionChoice precision,

        @Setting(doc = "CPU threads; 0 means one for each core", value = "0")
        int threads) {
    public ModelSettings {
        Check.that(
                device.matches("auto|cpu|cuda(:\\d{1,3})?"), "device", "'" + device + "'", "auto, cpu, cuda or cuda:N");
        // far above it, the thread library cannot make its pool and ends the process
        Check.that(threads >= 0 && threads <= 1024, "threads", threads, "from 0 to 1024");
    }
}
