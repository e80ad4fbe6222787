package org.sftnative.web;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.sftnative.generate.Answer;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The answers to one request as OpenAI's objects.
///
/// @param model as the request named it
final class Replies {
    private final boolean chat;
    private final boolean usage;
    private final String model;
    private final String id;
    private final long created = Instant.now().getEpochSecond();

    /// @param usage whether chunks of a stream have the field for counts
    Replies(boolean chat, boolean usage, String model) {
        this.chat = chat;
        this.usage = usage;
        this.model = model;
        id = (chat ? "chatcmpl-" : "cmpl-") + UUID.randomUUID().toString().replace("-", "");
    }

    /// All answers at once.
    ObjectNode whole(List<Answer> answers, long promptTokens) {
        ObjectNode reply = head(chat ? "chat.completion" : "text_completion");
        ArrayNode choices = reply.putArray("choices");
        for (int i = 0; i < answers.size(); i++) {
            ObjectNode choice = choices.addObject().put("index", i);
            String text = answers.get(i).text();
            if (chat) {
                choice.putObject("message")
                        .put("role", "assistant")
                        .put("content", text)
                        .putNull("refusal");
            } else {
                choice.put("text", text);
            }
            choice.putNull("logprobs").put("finish_reason", reason(answers.get(i)));
        }
        reply.set("usage", usage(promptTokens, tokens(answers)));
        return reply;
    }

    /// The first chunk of an answer in a conversation.
    ObjectNode opening(int index) {
        ObjectNode reply = chunk();
        ObjectNode choice = reply.putArray("choices").addObject().put("index", index);
        choice.putObject("delta").put("role", "assistant").put("content", "").putNull("refusal");
        choice.putNull("logprobs").putNull("finish_reason");
        return reply;
    }

    /// A piece of an answer, or its end.
    ObjectNode piece(int index, String text, Optional<Answer> end) {
        ObjectNode reply = chunk();
        ObjectNode choice = reply.putArray("choices").addObject().put("index", index);
        if (chat) {
            ObjectNode delta = choice.putObject("delta");
            if (end.isEmpty()) {
                delta.put("content", text);
            }
        } else {
            choice.put("text", text);
        }
        choice.putNull("logprobs").put("finish_reason", end.map(Replies::reason).orElse(null));
        return reply;
    }

    /// The last chunk, where it is wanted.
    ObjectNode counts(long promptTokens, long answerTokens) {
        ObjectNode reply = chunk();
        reply.putArray("choices");
        reply.set("usage", usage(promptTokens, answerTokens));
        return reply;
    }

    private ObjectNode chunk() {
        ObjectNode reply = head(chat ? "chat.completion.chunk" : "text_completion");
        return usage ? reply.putNull("usage") : reply;
    }

    private ObjectNode head(String object) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("id", id)
                .put("object", object)
                .put("created", created)
                .put("model", model);
    }

    static long tokens(List<Answer> answers) {
        return answers.stream().mapToLong(a -> a.tokens().length).sum();
    }

    private static ObjectNode usage(long prompt, long answer) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("prompt_tokens", prompt)
                .put("completion_tokens", answer)
                .put("total_tokens", prompt + answer);
    }

    private static String reason(Answer answer) {
        return answer.end() == Answer.End.LENGTH ? "length" : "stop";
    }
}
