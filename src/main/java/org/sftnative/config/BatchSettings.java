package org.sftnative.config;

/// How much is generated at one time.
public record BatchSettings(
        @Setting(doc = "most texts that are written at one time", value = "16")
        int generationBatchSize,

        @Setting(doc = "GiB for keys and values of all texts; 0: half of what is free", value = "0")
        double kvMemory) {
    public BatchSettings {
        Check.that(
                generationBatchSize >= 1 && generationBatchSize <= 4096,
                "generation_batch_size",
                generationBatchSize,
                "from 1 to 4096");
        Check.that(kvMemory >= 0 && kvMemory < 1e5, "kv_memory", kvMemory, "0 or more GiB");
    }
}
