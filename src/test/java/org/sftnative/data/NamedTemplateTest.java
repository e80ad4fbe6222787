package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.refused;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.OverlongChoice;
import org.sftnative.config.RowSettings;
import org.sftnative.config.TrainOn;

/// What a chat template that the settings name makes of rows that are no turns, from file to tokens. Rows are written
/// with ' for ".
class NamedTemplateTest {
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/tokenizer"));

    @TempDir
    Path directory;

    private final List<String> said = new ArrayList<>();

    @ParameterizedTest
    @ValueSource(strings = {"chatml", "llama3", "zephyr"})
    void anAlpacaRowIsTheChatRowOfTheSameTexts(String template) {
        same(
                template,
                "{'instruction':'Name a colour.','output':'Blue 🙂.'}",
                "{'messages':[{'role':'user','content':'Name a colour.'},{'role':'assistant','content':'Blue 🙂.'}]}");
        same(
                template,
                "{'instruction':'翻译','input':'天空','output':'sky'}",
                "{'messages':[{'role':'user','content':'翻译\\n\\n天空'},{'role':'assistant','content':'sky'}]}");
        same(
                template,
                "{'system':'Be brief.','history':[['a','b']],'instruction':'c','input':'','output':'d'}",
                "{'messages':[{'role':'system','content':'Be brief.'},{'role':'user','content':'a'},"
                        + "{'role':'assistant','content':'b'},{'role':'user','content':'c'},"
                        + "{'role':'assistant','content':'d'}]}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"chatml", "alpaca"})
    void aCompletionRowIsAQuestionAndItsAnswer(String template) {
        same(
                template,
                "{'prompt':'1 + 2 = ','completion':'3'}",
                "{'messages':[{'role':'user','content':'1 + 2 = '},{'role':'assistant','content':'3'}]}");
    }

    @Test
    void theTemplateIsInTheTokensAndOnlyTheAnswerIsTrained() {
        Document row = read("chatml", "{'instruction':'ask','input':'more','output':'answer'}");
        assertEquals(
                "<s><|im_start|>user\nask\n\nmore<|im_end|>\n<|im_start|>assistant\nanswer<|im_end|>\n",
                TOKENIZER.decode(row.inputIds(), false));
        int[] trained = Arrays.stream(row.labels())
                .filter(label -> label != Document.IGNORED)
                .toArray();
        assertEquals("answer<|im_end|>", TOKENIZER.decode(trained, false));
    }

    @Test
    void alpacasTemplateKeepsThePlainEncodingOfAlpacaRows() {
        for (String row :
                List.of("{'instruction':'a','output':'b'}", "{'instruction':'翻译','input':'天空','output':'sky </s>'}")) {
            Document plain = read(Optional.empty(), row);
            Document named = read("alpaca", row);
            assertArrayEquals(plain.inputIds(), named.inputIds());
            assertArrayEquals(plain.labels(), named.labels());
            assertEquals(said.get(0), said.get(1));
            said.clear();
        }
    }

    @Test
    void textStaysTextWhateverTheTemplate() {
        Document plain = read(Optional.empty(), "{'text':'It rained.'}");
        Document named = read("chatml", "{'text':'It rained.'}");
        assertArrayEquals(plain.inputIds(), named.inputIds());
        assertArrayEquals(plain.labels(), named.labels());
        assertFalse(said.getLast().contains("chatml"), said.getLast());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {"{'instruction':'a','output':'b'} | alpaca", "{'prompt':'a','completion':'b'} | completion"})
    void thatTextsBecomeTurnsIsSaid(String row, String format) {
        read("chatml", row);
        assertTrue(said.getLast().contains("format " + format), said.getLast());
        assertTrue(said.getLast().endsWith("; its texts become turns of chatml"), said.getLast());
    }

    @Test
    void anAnswerOfNothingTrainsTheEndOfTheTurn() {
        Document row = read("llama3", "{'instruction':'a','output':''}");
        int[] trained = Arrays.stream(row.labels())
                .filter(label -> label != Document.IGNORED)
                .toArray();
        assertEquals("<|eot_id|>", TOKENIZER.decode(trained, false));
    }

    @Test
    void whatTheTemplateRefusesNamesTheRow() throws IOException {
        Path template = Files.writeString(
                directory.resolve("no-system.jinja"),
                "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
                        + "{{ m.content + eos_token }}{% endfor %}");
        refused(
                () -> read(template.toString(), "{'system':'s','instruction':'a','output':'b'}"),
                "row 1",
                "no system here");
    }

    private void same(String template, String row, String chat) {
        Document of = read(template, row);
        Document expected = read(template, chat);
        assertArrayEquals(expected.inputIds(), of.inputIds(), row);
        assertArrayEquals(expected.labels(), of.labels(), row);
    }

    private Document read(String template, String row) {
        return read(Optional.of(template), row);
    }

    /// The one document of a file with one row.
    private Document read(Optional<String> template, String row) {
        EncodingSettings encoding =
                new EncodingSettings(512, OverlongChoice.ERROR, template, TrainOn.ASSISTANT, false, true);
        RowSettings rows = RowSettings.DEFAULT.cachedIn(directory.resolve("cache"));
        try {
            Path file = Files.writeString(directory.resolve("rows.jsonl"), row.replace('\'', '"') + "\n");
            EncodedFile read = new Tokenisation(TOKENIZER, new Encoder(TOKENIZER, encoding), encoding, rows, said::add)
                    .read(file, new BadRows(0));
            assertEquals(1, read.rows().size());
            return read.rows().getFirst().documents().getFirst();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
