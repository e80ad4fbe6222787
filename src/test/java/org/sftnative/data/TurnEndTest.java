package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.TrainOn;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Where an answer ends, by the template.
class TurnEndTest {
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/tokenizer"));

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"alpaca", "tutorial-chat", "llama2", "mistral", "zephyr"})
    void aSpecialTokenEndsTheTurnWithoutAText(String template) {
        TurnEnd end = ChatFormat.of(TOKENIZER, Optional.of(template)).turnEnd();
        assertEquals(new TurnEnd(Set.of(TOKENIZER.eosId().getAsInt()), Optional.empty()), end);
    }

    @ParameterizedTest
    @CsvSource({"chatml, <|im_end|>", "llama3, <|eot_id|>"})
    void whatIsNoTokenHereEndsTheTurnAsText(String template, String text) {
        TurnEnd end = ChatFormat.of(TOKENIZER, Optional.of(template)).turnEnd();
        assertEquals(new TurnEnd(Set.of(), Optional.of(text)), end);
    }

    @Test
    void theSameTextEndsTheTurnAsATokenWhereItIsOne() {
        Tokenizer tokenizer = Fixtures.tokenizer("bytelevel");
        int id = tokenizer.encodePlain("<|im_end|>")[0];
        assertEquals("<|im_end|>", tokenizer.decode(new int[] {id}, false));
        assertEquals(
                new TurnEnd(Set.of(id), Optional.empty()),
                ChatFormat.of(tokenizer, Optional.of("chatml")).turnEnd());
    }

    @ParameterizedTest
    @ValueSource(strings = {"alpaca", "tutorial-chat", "chatml", "llama2", "llama3", "mistral", "zephyr"})
    void trainingLabelsTheEndAndNothingAfterIt(String template) {
        ObjectNode user = message("user", "Name a colour.");
        Document row = new Encoder(
                        TOKENIZER,
                        new EncodingSettings(
                                512, OverlongChoice.ERROR, Optional.of(template), TrainOn.ASSISTANT, false, true))
                .encode(1, new Example.Conversation(List.of(user, message("assistant", "Blue.")), Optional.empty()))
                .document()
                .orElseThrow();
        int[] trained = Arrays.stream(row.labels())
                .filter(label -> label != Document.IGNORED)
                .toArray();
        TurnEnd end = ChatFormat.of(TOKENIZER, Optional.of(template)).turnEnd();
        String text = TOKENIZER.decode(trained, false);
        assertTrue(
                end.text().isPresent()
                        ? text.endsWith("Blue." + end.text().get())
                        : end.tokens().contains(trained[trained.length - 1]),
                template + ": " + text + ", " + end);
    }

    @Test
    void textBeforeTheTokenCountsAndWhatTheTemplateRefusesHasNoEnd() throws IOException {
        assertEquals(
                new TurnEnd(Set.of(2), Optional.of("\n### End")),
                end("{% for m in messages %}{{ m.content }}{{ '\n### End\n' }}{% endfor %}{{ eos_token }}"));
        assertEquals(TurnEnd.NONE, end("{% for m in messages %}{{ m.content }}{{ '\n' }}{% endfor %}"));
        assertEquals(TurnEnd.NONE, end("{{ raise_exception('none') }}"));
        assertEquals(TurnEnd.NONE, end("nothing"));
    }

    private TurnEnd end(String template) throws IOException {
        Path file = Files.writeString(directory.resolve("template.jinja"), template);
        return ChatFormat.of(TOKENIZER, Optional.of(file.toString())).turnEnd();
    }

    private static ObjectNode message(String role, String content) {
        return JsonNodeFactory.instance.objectNode().put("role", role).put("content", content);
    }
}
