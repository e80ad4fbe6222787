package org.sftnative.config;

/// What `comm-bench` measures.
public record CommBenchSettings(
        @Setting(doc = "bytes of the largest buffer", value = "67108864")
        long maxBytes,

        @Setting(doc = "times that each is measured, after two that are not", value = "5")
        int repeats,

        @Setting(doc = "auto, cpu or cuda", value = "auto") String device,

        DistSettings dist) {
    public CommBenchSettings {
        Check.that(maxBytes >= 4096 && maxBytes <= 1L << 36, "max_bytes", maxBytes, "from 4096 to " + (1L << 36));
        Check.that(repeats >= 1 && repeats <= 1000, "repeats", repeats, "from 1 to 1000");
        Check.that(device.matches("auto|cpu|cuda"), "device", "'" + device + "'", "auto, cpu or cuda");
    }
}
