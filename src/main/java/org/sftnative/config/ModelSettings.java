package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import org.sftnative.InputException;

/// Which model, and where and how it computes.
public record ModelSettings(
        @Setting(
                doc =
                        "directory of the model (config.json, safetensors, tokenizer.json), or org/name[@revision] on the Hub",
                aliases = "model",
                required = true)
        Path modelNameOrPath,

        @Setting(doc = "auto, cpu, cuda or cuda:N", value = "auto")
        String device,

        @Setting(doc = "auto (cpu: fp32, cuda: bf16), fp32, bf16-autocast or bf16", value = "auto")
        PrecisionChoice precision,

        @Setting(doc = "CPU threads; 0 means one for each core", value = "0")
        int threads,

        @Setting(
                doc =
                        "PEFT adapter directories over the model; train goes on with one; serve has each beside the model,"
                                + " as NAME=DIR or by its directory's name")
        List<Path> adapter,

        @Setting(doc = "keep the frozen matrices of the blocks in NF4, 4.1 bits a weight", value = "false")
        boolean loadIn_4bit,

        @Setting(doc = "keep the frozen matrices of the blocks in 8 bits, a scale a row", value = "false")
        boolean loadIn_8bit,

        @Setting(doc = "load_in_4bit: keep the scales in 8 bits, too; without, 4.5 bits a weight", value = "true")
        boolean bnb_4bitUseDoubleQuant) {
    /// A model as it is: no adapter, nothing quantised.
    public ModelSettings(Path modelNameOrPath, String device, PrecisionChoice precision, int threads) {
        this(modelNameOrPath, device, precision, threads, List.of(), false, false, true);
    }

    /// The same with other adapters.
    public ModelSettings with(List<Path> adapters) {
        return new ModelSettings(
                modelNameOrPath,
                device,
                precision,
                threads,
                adapters,
                loadIn_4bit,
                loadIn_8bit,
                bnb_4bitUseDoubleQuant);
    }

    /// The same elsewhere.
    public ModelSettings on(String otherDevice, int otherThreads) {
        return new ModelSettings(
                modelNameOrPath,
                otherDevice,
                precision,
                otherThreads,
                adapter,
                loadIn_4bit,
                loadIn_8bit,
                bnb_4bitUseDoubleQuant);
    }

    public ModelSettings {
        Check.that(
                device.matches("auto|cpu|cuda(:\\d{1,3})?"), "device", "'" + device + "'", "auto, cpu, cuda or cuda:N");
        adapter = List.copyOf(adapter);
        if (loadIn_4bit && loadIn_8bit) {
            throw new InputException("load_in_4bit and load_in_8bit exclude each other\n  keep one of them");
        }
        if (!bnb_4bitUseDoubleQuant && !loadIn_4bit) {
            throw new InputException("bnb_4bit_use_double_quant goes with load_in_4bit only\n  leave it out");
        }
        // far above it, the thread library cannot make its pool and ends the process
        Check.that(threads >= 0 && threads <= 1024, "threads", threads, "from 0 to 1024");
    }
}
