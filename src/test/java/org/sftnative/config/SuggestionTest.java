package org.sftnative.config;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class SuggestionTest {
    private static final List<String> KNOWN =
            List.of("learning_rate", "lr", "seed", "max_steps", "save_steps", "train");

    @Test
    void aSlipFindsItsName() {
        assertEquals(Optional.of("learning_rate"), Suggestion.nearest("lerning_rate", KNOWN));
        assertEquals(Optional.of("max_steps"), Suggestion.nearest("max_setps", KNOWN));
        assertEquals(Optional.of("train"), Suggestion.nearest("trian", KNOWN));
        assertEquals(Optional.of("seed"), Suggestion.nearest("sed", KNOWN));
    }

    @Test
    void anotherWordFindsNothing() {
        assertEquals(Optional.empty(), Suggestion.nearest("bf16", KNOWN));
        assertEquals(Optional.empty(), Suggestion.nearest("x", KNOWN));
        assertEquals(Optional.empty(), Suggestion.nearest("weight_decay", KNOWN));
    }

    @Test
    void swappedNeighboursCountOnce() {
        assertEquals(1, Suggestion.distance("abcd", "acbd"));
        assertEquals(3, Suggestion.distance("kitten", "sitting"));
    }
}
