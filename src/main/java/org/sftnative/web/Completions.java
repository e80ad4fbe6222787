package org.sftnative.web;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import org.sftnative.InputException;
import org.sftnative.generate.Answer;
import org.sftnative.generate.Request;
import org.sftnative.web.Outbox.Event;

/// Answers the requests of `/v1/chat/completions` and `/v1/completions`.
final class Completions {
    /// A client that waits hears something so often: that it is gone shows only when it is written to.
    private static final long HEARTBEAT_MS = 250;

    /// So long, a reply that is whole may still have a status of its own.
    private static final int QUIET_BEATS = 2;

    private static final byte[] STREAM_BEAT = ": waiting\n\n".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] BEAT = {'\n'}; // space before a JSON document means nothing

    private final Traffic traffic;
    private final int maxTokens;
    private final ExecutorService tokenisers = Executors.newFixedThreadPool(
            Runtime.getRuntime().availableProcessors(),
            Thread.ofPlatform().name("tokenise-", 0).daemon().factory());

    /// @param maxTokens most tokens of an answer in a conversation where the request does not say
    Completions(Traffic traffic, int maxTokens) {
        this.traffic = traffic;
        this.maxTokens = maxTokens;
    }

    void answer(CompletionRequest request, ServedModel model, Wire wire) throws IOException, InterruptedException {
        List<int[]> prompts = new ArrayList<>();
        for (int i = 0; i < request.prompts().size(); i++) {
            prompts.add(prompt(request, i, model));
        }
        long promptTokens = prompts.stream().mapToLong(p -> p.length).sum();
        Outbox outbox = new Outbox(request.answers(), request.stream());
        List<Engine.Wanted> wanted = new ArrayList<>();
        long seed = request.seed().orElseGet(() -> new SplittableRandom().nextLong());
        for (int i = 0; i < request.answers(); i++) {
            wanted.add(new Engine.Wanted(
                    request(request, prompts.get(i / request.n()), model, seed + i), outbox.listener(i)));
        }
        try {
            outbox.hold(model.engine().submit(wanted));
        } catch (InputException e) {
            // lengths are checked: an id beyond the vocabulary
            throw ApiException.field(request.chat() ? "messages" : "prompt", line(e));
        }
        traffic.read(promptTokens);
        Replies replies = new Replies(request.chat(), request.includeUsage(), request.model());
        try {
            if (request.stream()) {
                stream(request, replies, outbox, wire, promptTokens);
            } else {
                whole(request, replies, outbox, wire, promptTokens);
            }
        } catch (IOException e) {
            if (!outbox.overflowed()) { // else it is counted
                traffic.dropped(wire.wasCut() ? Traffic.Drop.SLOW_READER : Traffic.Drop.CLIENT_GONE);
            }
            throw e;
        } finally {
            outbox.cancel(); // of what has not ended
            if (outbox.overflowed()) {
                traffic.dropped(Traffic.Drop.SLOW_READER);
            }
        }
    }

    /// Begins nothing more.
    void close() {
        tokenisers.shutdownNow();
    }

    /// Tokens of a prompt. A tokenizer is native code, in which a virtual thread holds a processor: a few long texts
    /// would leave none to any other exchange.
    private int[] tokens(Callable<int[]> tokenise) throws InterruptedException {
        try {
            return tokenisers.submit(tokenise).get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException why ? why : new IllegalStateException(e.getCause());
        } catch (RejectedExecutionException _) {
            throw ApiException.closing();
        }
    }

    private int[] prompt(CompletionRequest request, int index, ServedModel model) throws InterruptedException {
        String param = request.chat() ? "messages" : request.prompts().size() == 1 ? "prompt" : "prompt[" + index + "]";
        int[] ids;
        try {
            ids = switch (request.prompts().get(index)) {
                case Prompt.Chat chat -> tokens(() -> model.prompt(chat.messages()));
                case Prompt.Text text -> tokens(() -> model.prompt(text.text()));
                case Prompt.Tokens tokens -> tokens.ids();
            };
        } catch (InputException e) {
            throw ApiException.field(param, line(e));
        }
        int most = request.maxTokens().orElse(1);
        if (ids.length == 0) {
            throw ApiException.field(param, "the prompt has no tokens");
        }
        if ((long) ids.length + most > model.positions()) {
            throw ApiException.field(
                    ids.length < model.positions() ? "max_tokens" : param,
                    "context_length_exceeded",
                    "This model's maximum context length is " + model.positions() + " tokens; the prompt has "
                            + ids.length + " and the answer may have " + most);
        }
        return ids;
    }

    private Request request(CompletionRequest request, int[] prompt, ServedModel model, long seed) {
        ServedModel.Ends ends = model.ends(request.chat());
        Set<String> stops = new HashSet<>(ends.texts());
        stops.addAll(request.stop());
        int most = request.maxTokens().orElse(Math.min(maxTokens, model.positions() - prompt.length));
        return new Request(prompt, request.sampling(), 0, most, ends.tokens(), List.copyOf(stops), seed);
    }

    private void stream(CompletionRequest request, Replies replies, Outbox outbox, Wire wire, long promptTokens)
            throws IOException, InterruptedException {
        wire.begin("text/event-stream; charset=utf-8");
        for (int i = 0; i < request.answers() && request.chat(); i++) {
            wire.event(replies.opening(i));
        }
        long tokens = 0;
        for (int open = request.answers(); open > 0; ) {
            Optional<Event> event = outbox.next(HEARTBEAT_MS);
            if (outbox.overflowed()) {
                wire.event(ApiException.slow().json());
                return;
            }
            if (event.isEmpty()) {
                wire.write(STREAM_BEAT);
                continue;
            }
            switch (event.get()) {
                case Event.Piece(int index, String text) -> wire.event(replies.piece(index, text, Optional.empty()));
                case Event.Ended(int index, Answer answer) -> {
                    if (answer.end() == Answer.End.CANCELLED) {
                        traffic.dropped(Traffic.Drop.SHUTDOWN);
                        wire.event(ApiException.closing().json());
                        return;
                    }
                    tokens += answer.tokens().length;
                    traffic.written(answer.tokens().length);
                    wire.event(replies.piece(index, "", Optional.of(answer)));
                    open--;
                }
                case Event.Failed(RuntimeException why) -> {
                    traffic.dropped(Traffic.Drop.FAILED);
                    wire.event(failure(why).json());
                    return;
                }
            }
        }
        if (request.includeUsage()) {
            wire.event(replies.counts(promptTokens, tokens));
        }
        wire.event("[DONE]");
    }

    private void whole(CompletionRequest request, Replies replies, Outbox outbox, Wire wire, long promptTokens)
            throws IOException, InterruptedException {
        Answer[] answers = new Answer[request.answers()];
        int beats = 0;
        for (int open = answers.length; open > 0; ) {
            Optional<Event> event = outbox.next(HEARTBEAT_MS);
            if (event.isEmpty()) {
                if (++beats == QUIET_BEATS) {
                    wire.begin("application/json");
                }
                if (beats >= QUIET_BEATS) {
                    wire.write(BEAT);
                }
                continue;
            }
            switch (event.get()) {
                case Event.Piece _ -> {}
                case Event.Ended(int index, Answer answer) -> {
                    if (answer.end() == Answer.End.CANCELLED) {
                        traffic.dropped(Traffic.Drop.SHUTDOWN);
                        throw ApiException.closing();
                    }
                    traffic.written(answer.tokens().length);
                    answers[index] = answer;
                    open--;
                }
                case Event.Failed(RuntimeException why) -> {
                    traffic.dropped(Traffic.Drop.FAILED);
                    throw failure(why);
                }
            }
        }
        var reply = replies.whole(Arrays.asList(answers), promptTokens);
        if (wire.begun()) {
            wire.write(JsonBody.JSON.writeValueAsBytes(reply));
        } else {
            wire.reply(200, reply);
        }
    }

    private static ApiException failure(RuntimeException why) {
        return ApiException.failed("the model failed: " + Shown.of(String.valueOf(why.getMessage())));
    }

    /// A message of several lines in one.
    private static String line(InputException e) {
        return e.getMessage().replaceAll("\\n\\s*", "; ");
    }
}
