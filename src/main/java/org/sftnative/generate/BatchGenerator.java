package org.sftnative.generate;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.sftnative.InputException;
import org.sftnative.model.KvPool;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.model.LlamaDecoder.Part;
import org.sftnative.model.Parameters;

/// Goes on with many texts at once, a token of each a step. Texts join and leave between steps: a request waits,
/// first come first served, until there is room for all the tokens that it may have, and gives its room back when it
/// ends. [#submit] and [Ticket#cancel] may be called by any thread; one thread calls [#step], and hears the answers.
public final class BatchGenerator implements AutoCloseable {
    private final LlamaDecoder model;
    private final Function<int[], String> decode;
    private final KvPlan plan;
    private final KvPool pool;
    private final Deque<Text> waiting = new ArrayDeque<>(); // guarded by itself
    private final List<Text> running = new ArrayList<>(); // of the thread that steps
    private volatile int runningCount;
    private volatile int reservedTokens;

    /// @param decode tokens -> their text without special tokens
    /// @param plan how much memory it has: allocated here
    public BatchGenerator(LlamaDecoder model, Function<int[], String> decode, KvPlan plan) {
        this.model = model;
        this.decode = decode;
        this.plan = plan;
        pool = model.pool(plan.tokens());
    }

    /// A request that was taken on.
    public interface Ticket {
        /// Wants no more of it: it ends before the next step, as [Answer.End#CANCELLED], unless it has ended before.
        void cancel();
    }

    public KvPlan plan() {
        return plan;
    }

    /// Requests that wait for room.
    public int waiting() {
        synchronized (waiting) {
            return waiting.size();
        }
    }

    /// Texts of the last step that go on.
    public int running() {
        return runningCount;
    }

    /// Tokens of the cache that the texts of the last step have reserved.
    public int reservedTokens() {
        return reservedTokens;
    }

    /// Takes a request on. It hears nothing before the next step.
    ///
    /// @throws InputException if it can never run: the prompt is empty, longer than the model's positions, has ids
    ///     beyond the vocabulary, or prompt and answer are more than the plan has room for
    public Ticket submit(Request request, AnswerListener listener) {
        int most = newTokens(request);
        int length = request.prompt().length + most;
        if (length > plan.tokens()) {
            throw new InputException("the prompt has " + request.prompt().length + " tokens and the answer may have "
                    + most + ", the cache of keys and values has room for " + plan.tokens()
                    + "\n  ask for fewer new tokens, or give the cache more memory");
        }
        Text text = new Text(request, most, listener);
        synchronized (waiting) {
            waiting.add(text);
            waiting.notifyAll();
        }
        return text;
    }

    private int newTokens(Request request) {
        int positions = plan.positions();
        if (request.prompt().length == 0) {
            throw new InputException("the prompt has no tokens");
        }
        if (request.prompt().length >= positions) {
            throw new InputException("the prompt has " + request.prompt().length + " tokens, the model was made for "
                    + positions + "\n  an answer needs one more at least: shorten the prompt");
        }
        for (int id : request.prompt()) {
            Parameters.checkVocabulary(id, model.config().vocabSize());
        }
        return Math.min(request.maxNewTokens(), positions - request.prompt().length);
    }

    /// Waits until there is something to do.
    public void await() throws InterruptedException {
        synchronized (waiting) {
            while (waiting.isEmpty() && runningCount == 0) {
                waiting.wait();
            }
        }
    }

    /// Gives every text that runs or has room now its next token.
    ///
    /// @return whether there is more to do
    /// @throws RuntimeException if the pass fails; every text that runs was told so, and has given its room back
    public boolean step() {
        leave();
        join();
        if (!running.isEmpty()) {
            List<float[]> logits;
            try {
                logits = model.next(running.stream().map(Text::part).toList(), pool);
            } catch (RuntimeException e) {
                running.forEach(text -> text.fail(e));
                running.clear();
                runningCount = 0;
                reservedTokens = 0;
                throw e;
            }
            for (int i = 0; i < logits.size(); i++) {
                running.get(i).take(logits.get(i));
            }
            running.removeIf(text -> text.done);
        }
        runningCount = running.size();
        reservedTokens = plan.tokens() - pool.freeTokens();
        synchronized (waiting) {
            return runningCount > 0 || !waiting.isEmpty();
        }
    }

    private void leave() {
        running.removeIf(Text::endIfCancelled);
        List<Text> gone = new ArrayList<>();
        synchronized (waiting) {
            waiting.removeIf(text -> text.cancelled && gone.add(text));
        }
        gone.forEach(Text::endIfCancelled);
    }

    private void join() {
        int prompts = 0;
        synchronized (waiting) {
            while (running.size() < plan.texts() && !waiting.isEmpty()) {
                Text next = waiting.getFirst();
                prompts += next.request.prompt().length;
                if (prompts > plan.promptTokens() && prompts > next.request.prompt().length) {
                    return; // in a later step
                }
                // at least its share: neighbours of one size are read in one call, and nobody else needs the room
                int share = plan.tokens() / plan.texts();
                next.range = pool.reserve(Math.max(share, next.request.prompt().length + next.most));
                if (next.range.isEmpty()) {
                    return;
                }
                running.add(waiting.removeFirst());
            }
        }
    }

    /// Ends all that runs or waits as cancelled, and frees the memory.
    @Override
    public void close() {
        List<Text> all = new ArrayList<>(running);
        running.clear();
        synchronized (waiting) {
            all.addAll(waiting);
            waiting.clear();
        }
        all.forEach(text -> {
            text.cancel();
            text.endIfCancelled();
        });
        runningCount = 0;
        reservedTokens = 0;
        pool.close();
    }

    /// One request on its way.
    private final class Text implements Ticket {
        private final Request request;
        private final int most; // new tokens
        private final AnswerListener listener;
        private final TextStream stream;
        private final int[] tokens; // prompt and answer
        private int length;
        private Optional<KvPool.Range> range = Optional.empty();
        private volatile boolean cancelled;
        private boolean done;

        Text(Request request, int most, AnswerListener listener) {
            this.request = request;
            this.most = most;
            this.listener = listener;
            stream = new TextStream(decode, request.stopTexts(), listener::text);
            length = request.prompt().length;
            tokens = Arrays.copyOf(request.prompt(), length + most);
        }

        @Override
        public void cancel() {
            cancelled = true;
        }

        private int made() {
            return length - request.prompt().length;
        }

        Part part() {
            int past = made() == 0 ? 0 : length - 1;
            return new Part(range.orElseThrow(), past, Arrays.copyOfRange(tokens, past, length));
        }

        void take(float[] logits) {
            try {
                if (made() < request.minNewTokens()) {
                    for (int id : request.stopTokens()) {
                        if (id < logits.length) {
                            logits[id] = Float.NEGATIVE_INFINITY;
                        }
                    }
                }
                int token = request.sampling().choose(logits, Arrays.stream(tokens, 0, length), request.seed(), made());
                tokens[length++] = token;
                listener.token(token);
                boolean on = stream.test(token);
                if (!on) {
                    end(Answer.End.STOP_TEXT);
                } else if (request.stopTokens().contains(token)) {
                    end(Answer.End.STOP_TOKEN);
                } else if (made() == most) {
                    end(Answer.End.LENGTH);
                }
            } catch (RuntimeException e) {
                fail(e);
            }
        }

        boolean endIfCancelled() {
            if (cancelled && !done) {
                end(Answer.End.CANCELLED);
            }
            return done;
        }

        private void end(Answer.End end) {
            release();
            int[] answer = Arrays.copyOfRange(tokens, request.prompt().length, length);
            try {
                stream.end();
            } catch (RuntimeException e) {
                fail(e);
                return;
            }
            try {
                listener.ended(new Answer(answer, stream.heard(), end));
            } catch (RuntimeException _) {
                // it was told; what it makes of it is its own
            }
        }

        void fail(RuntimeException why) {
            release();
            try {
                listener.failed(why);
            } catch (RuntimeException _) {
                // nobody is left to tell
            }
        }

        private void release() {
            done = true;
            range.ifPresent(pool::release);
            range = Optional.empty();
        }
    }
}
