package org.sftnative.generate;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import org.bytedeco.javacpp.PointerScope;
import org.sftnative.InputException;
import org.sftnative.model.KvCache;
import org.sftnative.model.Llama;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Tensors;

/// Continues one text, token by token, over a KV cache.
///
/// @param model whose weights are used
/// @param stops tokens that end a text
public record Generator(Llama model, Set<Integer> stops) {
    /// Continues a prompt until a stop token, `maxNewTokens`, or as `each` says.
    ///
    /// @param prompt (n) token ids, n at least 1
    /// @param each hears every new token as it comes, a stop token too, and says whether the text goes on
    /// @return the new tokens, with the one that ended the text if one did
    /// @throws InputException if prompt and new tokens are more than the model was made for, or a token id is
    /// beyond its vocabulary
    public int[] generate(int[] prompt, int maxNewTokens, Sampling sampling, IntPredicate each) {
        int limit = model.config().maxPositionEmbeddings();
        if (prompt.length == 0) {
            throw new InputException("the prompt has no tokens");
        }
        if (prompt.length >= limit) {
            throw new InputException("the prompt has " + prompt.length + " tokens, the model was made for " + limit);
        }
        for (int id : prompt) {
            Parameters.checkVocabulary(id, model.config().vocabSize());
        }
        int most = Math.min(maxNewTokens, limit - prompt.length);
        List<Integer> tokens = new ArrayList<>();
        try (KvCache cache = new KvCache(model, prompt.length + most)) {
            int[] next = prompt;
            while (tokens.size() < most) {
                int token = sampling.choose(logits(next, cache), tokens.size());
                tokens.add(token);
                boolean on = each.test(token);
                if (!on || stops.contains(token)) {
                    break;
                }
                next = new int[] {token};
            }
        }
        return tokens.stream().mapToInt(Integer::intValue).toArray();
    }

    private float[] logits(int[] ids, KvCache cache) {
        try (PointerScope _ = new PointerScope()) {
            return Tensors.floats(
                    model.decode(Tensors.ofInts(ids, model.parameters().device()), cache));
        }
    }
}
