package org.sftnative.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.data.Dataset;
import org.sftnative.data.Document;
import org.sftnative.data.Tokenizer;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.model.CausalLm;
import org.sftnative.model.PackedBatch;
import org.sftnative.tensor.Tensors;

/// What the model that is being trained answers to the first rows that are kept for evaluation. Greedy, and without a
/// gradient: training goes on as if nobody had asked. It works on the model as it is trained, whatever that is made
/// of, so each token is a whole forward pass.
final class Samples {
    /// Tokens of an answer.
    private static final int MOST_TOKENS = 64;
    /// For all answers of one evaluation: a large model on a CPU is slow.
    private static final long BUDGET_NANOS = 10_000_000_000L;
    /// Characters of a prompt, its end: the beginning is the same for all rows of some formats.
    private static final int SHOWN = 600;
    /// Lengths of the passes are multiples of it: a card's libraries choose an algorithm for each new shape.
    private static final int MULTIPLE = 64;

    private final List<Question> questions;
    private final Tokenizer tokenizer;
    private final Set<Integer> stops;
    private final int longest;

    /// @param prompt (n) ids
    /// @param end the token that ends the expected answer, where it is a special one
    private record Question(int[] prompt, String shown, String expected, Optional<Integer> end) {}

    private Samples(List<Question> questions, Tokenizer tokenizer, Set<Integer> stops, int longest) {
        this.questions = questions;
        this.tokenizer = tokenizer;
        this.stops = stops;
        this.longest = longest;
    }

    /// @param count of rows; 0: none
    /// @param held the evaluation rows
    /// @param most tokens of prompt and answer together
    static Samples of(int count, Optional<Dataset> held, int most, LoadedModel loaded) {
        Tokenizer tokenizer = loaded.tokenizer();
        Set<Integer> stops = new HashSet<>(loaded.config().eosTokenIds());
        tokenizer.eosId().ifPresent(stops::add);
        int longest = Math.min(most, loaded.config().maxPositionEmbeddings());
        List<Question> questions = held.map(Dataset::documents).orElse(List.of()).stream()
                .map(document -> question(document, tokenizer))
                .filter(question -> question.prompt.length < longest)
                .limit(count)
                .toList();
        return new Samples(questions, tokenizer, stops, longest);
    }

    /// The first stretch of trained tokens is the answer; of a row that is trained from its second token on, the
    /// second half is.
    private static Question question(Document document, Tokenizer tokenizer) {
        int[] labels = document.labels();
        int from = 0;
        while (labels[from] == Document.IGNORED) { // every document has a label
            from++;
        }
        int end = from;
        while (end < labels.length && labels[end] != Document.IGNORED) {
            end++;
        }
        if (from == 1) {
            from = Math.max(1, end / 2);
        }
        int[] prompt = Arrays.copyOf(document.inputIds(), from);
        int[] answer = Arrays.copyOfRange(document.inputIds(), from, end);
        int last = answer[answer.length - 1];
        boolean special = tokenizer.decode(new int[] {last}, true).isEmpty();
        return new Question(
                prompt,
                tail(tokenizer.decode(prompt, true)),
                text(tokenizer, answer),
                special ? Optional.of(last) : Optional.empty());
    }

    private static String tail(String text) {
        return text.length() <= SHOWN ? text : ".." + text.substring(text.length() - SHOWN);
    }

    private static String text(Tokenizer tokenizer, int[] answer) {
        return answer.length <= MOST_TOKENS
                ? tokenizer.decode(answer, true)
                : tokenizer.decode(Arrays.copyOf(answer, MOST_TOKENS), true) + " ..";
    }

    /// Asks, and tells the answers. Other ranks follow, until no pass is to come.
    void ask(CausalLm model, long step, RunListener listener) {
        long until = System.nanoTime() + BUDGET_NANOS;
        for (Question question : questions) {
            if (System.nanoTime() < until) {
                String answer = answer(model, question, until);
                listener.on(new RunEvent.Sampled(step, question.shown, question.expected, answer));
            }
        }
    }

    private String answer(CausalLm model, Question question, long until) {
        int most = Math.min(longest, question.prompt.length + MOST_TOKENS);
        int[] ids = Arrays.copyOf(question.prompt, most);
        List<Integer> answer = new ArrayList<>();
        boolean ended = false;
        for (int n = question.prompt.length; n < most && !ended && System.nanoTime() < until; n++) {
            int token = next(model, ids, n);
            ended = stops.contains(token)
                    || question.end.filter(end -> end == token).isPresent();
            answer.add(token);
            ids[n] = token;
        }
        String text = tokenizer.decode(answer.stream().mapToInt(i -> i).toArray(), true);
        return ended ? text : text + " ..";
    }

    /// The likeliest token after the first n.
    private int next(CausalLm model, int[] ids, int n) {
        try (PointerScope _ = new PointerScope()) {
            // what stands behind position n - 1 does not change what it sees
            int padded = Math.min(longest, Math.ceilDiv(n, MULTIPLE) * MULTIPLE);
            int[] nothing = new int[padded];
            Arrays.fill(nothing, Document.IGNORED);
            PackedBatch batch = PackedBatch.of(
                    Arrays.copyOf(Arrays.copyOf(ids, n), padded),
                    nothing,
                    new int[] {0, padded},
                    model.parameters().device());
            Tensor row = Tensors.ofInts(new int[] {n - 1}, model.parameters().device());
            model.startScoring(1);
            float[] logits = Tensors.floats(model.logits(batch, row));
            model.endScoring();
            int best = 0;
            for (int i = 1; i < logits.length; i++) {
                best = logits[i] > logits[best] ? i : best;
            }
            return best;
        }
    }
}
