package org.sftnative.config;

import java.nio.file.Path;

/// What `info` is told.
public record InfoSettings(
        @Setting(doc = "directory of the model, or org/name[@revision] on the Hub", aliases = "model", required = true)
        Path modelNameOrPath,

        @Setting(doc = "what ranks are to share out: none, zero1, zero2 or zero3, as train has it", value = "none")
        ShardingChoice sharding,

        @Setting(doc = "processes that train together; memory is that of one of them", value = "1")
        int ranks) {
    public InfoSettings {
        Check.that(ranks >= 1, "ranks", ranks, "1 or more");
        Check.that(ranks > 1 || sharding == ShardingChoice.NONE, "ranks", ranks, "2 or more with sharding " + sharding);
    }
}
