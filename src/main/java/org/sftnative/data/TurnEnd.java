package org.sftnative.data;

import java.util.Optional;
import java.util.Set;

/// By what a chat template ends the assistant's turn: the first that a model writes when its answer is done.
///
/// @param tokens ids of special tokens, any of which ends it
/// @param text what ends it where that is no special token of this tokenizer
public record TurnEnd(Set<Integer> tokens, Optional<String> text) {
    /// Nothing that a template says: the end of the sequence ends the text.
    public static final TurnEnd NONE = new TurnEnd(Set.of(), Optional.empty());

    public TurnEnd {
        tokens = Set.copyOf(tokens);
    }
}
