package org.sftnative.config;

/// How the processes of a run find one another, and how long they wait.
public record DistSettings(
        @Setting(
                doc = "what ranks share out instead of each holding it: none, zero1 (the optimizer's state),"
                        + " zero2 (gradients too) or zero3 (weights too); of adapters the optimizer's state, and with zero3"
                        + " the frozen model's weights",
                value = "none")
        ShardingChoice sharding,

        @Setting(
                doc = "what carries tensors between ranks: auto (nccl on GPUs, gloo on CPUs), gloo or nccl",
                value = "auto")
        BackendChoice ddpBackend,

        @Setting(doc = "seconds that a rank waits for the others in a step, an evaluation or a save", value = "1800")
        int ddpTimeout,

        @Setting(doc = "seconds that ranks wait for one another at the start", value = "300")
        int rendezvousTimeout,

        @Setting(
                doc = "seconds without a sign of life after which a rank counts as lost, and the run ends",
                value = "3")
        int heartbeatTimeout) {
    /// What a user gets who sets nothing.
    public static final DistSettings DEFAULT = new DistSettings(ShardingChoice.NONE, BackendChoice.AUTO, 1800, 300, 3);

    private static final int DAY = 86_400;

    public DistSettings {
        Check.that(ddpTimeout >= 1 && ddpTimeout <= 7 * DAY, "ddp_timeout", ddpTimeout, "from 1 to " + 7 * DAY);
        Check.that(
                rendezvousTimeout >= 1 && rendezvousTimeout <= DAY,
                "rendezvous_timeout",
                rendezvousTimeout,
                "from 1 to " + DAY);
        Check.that(
                heartbeatTimeout >= 1 && heartbeatTimeout <= DAY,
                "heartbeat_timeout",
                heartbeatTimeout,
                "from 1 to " + DAY);
    }
}
