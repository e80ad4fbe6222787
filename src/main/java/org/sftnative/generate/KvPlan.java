package org.sftnative.generate;

import java.util.Locale;
import org.sftnative.InputException;
import org.sftnative.model.KvPool;
import org.sftnative.model.LlamaDecoder;

/// How much is generated at one time: what bounds the memory of a [BatchGenerator].
///
/// @param bytesPerToken keys and values of one token in all layers
/// @param tokens of all texts together, prompts and answers: memory for them is allocated once
/// @param texts most texts at one time
/// @param promptTokens prompts that are read in one step have at most as many tokens together, unless one alone has
/// @param positions tokens that one text can have: the model's
public record KvPlan(long bytesPerToken, int tokens, int texts, int promptTokens, int positions) {
    private static final int PROMPT_TOKENS = 2048;

    /// As many texts of a length as are wanted, and as fit.
    ///
    /// @param bytes most memory for keys and values
    /// @param texts most texts at one time
    /// @param longest tokens of the longest of them; the model's positions are enough
    /// @throws InputException if `bytes` is too little for one text of that length
    public static KvPlan of(LlamaDecoder model, long bytes, int texts, int longest) {
        int positions = model.config().maxPositionEmbeddings();
        int length = Math.min(longest, positions);
        long each = KvPool.bytesPerToken(model.config(), model.cacheDtype());
        long tokens = Math.min(Math.min((long) texts * length, bytes / each), Integer.MAX_VALUE);
        if (tokens < length) {
            throw new InputException("the cache of keys and values may have " + mebibytes(bytes)
                    + ", and one text of " + length + " tokens needs " + mebibytes(each * length)
                    + "\n  give it more with --kv-memory, or ask for less with --max-new-tokens");
        }
        return new KvPlan(each, (int) tokens, texts, PROMPT_TOKENS, positions);
    }

    /// Bytes of the cache.
    public long bytes() {
        return bytesPerToken * tokens;
    }

    /// One line for a person.
    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "kv cache %s: %,d tokens of %.1f KiB, up to %d texts at a time; the model has %,d positions",
                mebibytes(bytes()),
                tokens,
                bytesPerToken / 1024.0,
                texts,
                positions);
    }

    private static String mebibytes(long bytes) {
        return String.format(Locale.ROOT, bytes < 1 << 20 ? "%.2f MiB" : "%,.0f MiB", bytes / (double) (1 << 20));
    }
}
