package org.sftnative.model;

import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// What a block keeps for its backward pass, and what it computes again.
public enum Recompute {
    /// Keeps everything.
    NONE,
    /// Computes norms and SwiGLU again: no matrix product.
    SELECTIVE,
    /// Keeps the block's input and the attention's output: three matrix products run again, attention does not.
    FULL_KEEP_ATTENTION,
    /// Keeps the block's input only. down_proj never runs again: nothing in the backward pass needs its output.
    FULL,
    /// As full, and most blocks' inputs wait in the host's memory: see [OffloadedInputs].
    OFFLOAD;

    /// The same for every block.
    public List<Recompute> everywhere(int layers) {
        return Collections.nCopies(layers, this);
    }

    /// The policies of all blocks on the way from nothing computed again to everything, and from there to
    /// all inputs offloaded, a block more at each rung.
    ///
    /// @param rung from 0, nothing, to 4 x layers, everything and all inputs offloaded
    public static List<Recompute> rung(int layers, int rung) {
        int whole = rung / layers;
        return IntStream.range(0, layers)
                .mapToObj(i -> values()[whole + (i < rung % layers ? 1 : 0)])
                .toList();
    }

    /// `selective`, or `12 blocks none, 20 selective`.
    public static String describe(List<Recompute> policies) {
        Map<Recompute, Integer> counts = new EnumMap<>(Recompute.class);
        policies.forEach(policy -> counts.merge(policy, 1, Integer::sum));
        if (counts.size() == 1) {
            return policies.getFirst().toString();
        }
        String list = counts.entrySet().stream()
                .map(entry -> entry.getValue() + " " + entry.getKey())
                .collect(Collectors.joining(", "));
        return list.replaceFirst(" ", " blocks ");
    }

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
