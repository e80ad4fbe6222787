package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// What `merge` is told.
public record MergeSettings(
        @Setting(
                doc = "directory of the base model, as it was before any quantisation",
                aliases = "model",
                required = true)
        Path modelNameOrPath,

        @Setting(doc = "PEFT adapter directories; several are folded in one after another", required = true)
        List<Path> adapter,

        @Setting(doc = "where the merged model goes", required = true)
        Path outputDir,

        @Setting(doc = "write into an output directory that is not empty", value = "false")
        boolean overwriteOutputDir,

        @Setting(doc = "fp32, bf16 or fp16 weights; without it, what the base model's are")
        Optional<SavedDtype> dtype,

        @Setting(doc = "largest weights file: 5GB, 500MB, 2GiB", value = "50GB")
        String maxShardSize,

        @Setting(doc = "auto, cpu, cuda or cuda:N; the model must fit it in fp32", value = "cpu")
        String device,

        @Setting(doc = "CPU threads; 0 means one for each core", value = "0")
        int threads) {
    private static final Pattern SIZE = Pattern.compile("([1-9]\\d{0,9})\\s*([KMGT]I?B|B)?", Pattern.CASE_INSENSITIVE);

    public MergeSettings {
        adapter = List.copyOf(adapter);
        if (adapter.isEmpty()) {
            throw new InputException("merge needs an adapter\n  give --adapter DIR");
        }
        bytes(maxShardSize);
    }

    /// Most bytes of tensors in a file.
    public long maxShardBytes() {
        return bytes(maxShardSize);
    }

    /// The base model in fp32.
    public ModelSettings model() {
        return new ModelSettings(modelNameOrPath, device, PrecisionChoice.FP32, threads);
    }

    /// As transformers reads sizes: GB is 10^9, GiB 2^30.
    private static long bytes(String text) {
        Matcher matcher = SIZE.matcher(text.strip());
        Check.that(matcher.matches(), "max_shard_size", "'" + text + "'", "a size such as 5GB, 500MB or 2GiB");
        String unit = matcher.group(2) == null ? "B" : matcher.group(2).toUpperCase();
        int power = "BKMGT".indexOf(unit.charAt(0));
        long base = unit.contains("I") ? 1024 : 1000;
        long bytes = Long.parseLong(matcher.group(1));
        for (int i = 0; i < power; i++) {
            bytes = Math.multiplyExact(bytes, base);
        }
        return bytes;
    }
}
