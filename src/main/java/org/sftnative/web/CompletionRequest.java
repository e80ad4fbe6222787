package org.sftnative.web;

import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.sftnative.generate.Sampling;

/// A request of `/v1/chat/completions` or `/v1/completions`, checked as far as it can be without the model.
///
/// @param chat which of the two
/// @param prompts one conversation, or one or more texts
/// @param maxTokens most tokens of an answer; empty: what the server says
/// @param n answers to each prompt
/// @param stop texts that end an answer
/// @param seed of the first answer, the k-th has seed + k; empty: any
/// @param includeUsage whether a stream ends with the counts of tokens
record CompletionRequest(
        boolean chat,
        String model,
        List<Prompt> prompts,
        OptionalInt maxTokens,
        Sampling sampling,
        int n,
        List<String> stop,
        OptionalLong seed,
        boolean stream,
        boolean includeUsage) {
    /// Answers that it wants.
    int answers() {
        return prompts.size() * n;
    }
}
