package org.sftnative.config;

/// What counts as a spike of loss or gradient, and what is done about it.
public record SpikeSettings(
        @Setting(
                doc = "about a spike of loss or gradient: warn, skip (no update), reduce-lr (halve it) or rollback",
                value = "warn")
        SpikeChoice onSpike,

        @Setting(doc = "what a spike is: ratio (spike_loss_ratio, spike_grad_norm) or sigma", value = "ratio")
        SpikeRule spikeRule,

        @Setting(doc = "a loss over this many times the median of the window is a spike; 0: none is", value = "2.0")
        double spikeLossRatio,

        @Setting(doc = "a gradient norm over this, before clipping, is a spike; 0: none is", value = "10")
        double spikeGradNorm,

        @Setting(doc = "sigma: robust standard deviations above the median that are a spike", value = "6")
        double spikeSigmas,

        @Setting(doc = "steps whose loss and gradient norm a spike is compared with", value = "128")
        int spikeWindow,

        @Setting(doc = "most times that a run halves its learning rate, or rolls back", value = "3")
        int spikeLimit) {
    /// Watches nothing.
    public static final SpikeSettings OFF = new SpikeSettings(SpikeChoice.WARN, SpikeRule.RATIO, 0, 0, 6, 128, 3);

    public SpikeSettings {
        Check.that(
                spikeLossRatio == 0 || spikeLossRatio > 1 && Double.isFinite(spikeLossRatio),
                "spike_loss_ratio",
                spikeLossRatio,
                "above 1, or 0");
        Check.that(spikeGradNorm >= 0 && Double.isFinite(spikeGradNorm), "spike_grad_norm", spikeGradNorm, "0 or more");
        Check.that(spikeSigmas > 0 && Double.isFinite(spikeSigmas), "spike_sigmas", spikeSigmas, "above 0");
        // it is part of every checkpoint's state
        Check.that(spikeWindow >= 2 && spikeWindow <= 10_000, "spike_window", spikeWindow, "from 2 to 10000");
        Check.that(spikeLimit >= 0, "spike_limit", spikeLimit, "0 or more");
    }
}
