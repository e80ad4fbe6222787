package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Scores of answers: BLEU is sacrebleu's, the others are counted by hand.
class MetricsTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden/generation/metrics.json");

    @ParameterizedTest
    @ValueSource(strings = {"13a", "zh"})
    void bleuIsThatOfSacrebleu(String tokenizer) {
        JsonNode cases = new JsonMapper().readTree(GOLDEN.toFile()).path("cases");
        assertTrue(cases.size() >= 16);
        for (JsonNode c : cases) {
            Bleu bleu = new Bleu(tokenizer.equals("zh"));
            c.path("pairs").forEach(p -> bleu.add(p.get(0).asString(), p.get(1).asString()));
            assertEquals(c.path(tokenizer).asDouble(), bleu.score(), 1e-9, c.path("pairs")::toString);
        }
    }

    /// Words, common words, pairs and subsequences counted by hand.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                // 5 of 6 words; pairs the-cat, on-the, the-mat of 5; the cat on the mat
                "the cat sat on the mat | the cat lay on the mat | 83.333333 | 60 | 83.333333",
                "police killed the gunman | police kill the gunman | 75 | 33.333333 | 75",
                // all words, in another order: the longest common subsequence is 2 of 4
                "the gunman police kill | police kill the gunman | 100 | 66.666667 | 50",
                "the the the | the | 50 | 0 | 50",
                "It costs 1,234 dollars! | it costs 1 234 DOLLARS | 100 | 100 | 100",
                "'' | nothing | 0 | 0 | 0",
                "... | !!! | 0 | 0 | 0",
                "one | one | 100 | 0 | 100",
                // 5 characters of 6 and 6: 今天天气好, and the pairs 今天 天天 天气
                "今天天气很好 | 今天天气真好 | 83.333333 | 60 | 83.333333",
                "Él ganó | él gano | 50 | 0 | 50"
            })
    void rougeIsAsCountedByHand(String answer, String reference, double one, double two, double longest) {
        Rouge rouge = Rouge.of(answer.equals("''") ? "" : answer, reference);
        assertEquals(one, rouge.one(), 1e-6);
        assertEquals(two, rouge.two(), 1e-6);
        assertEquals(longest, rouge.longest(), 1e-6);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "She has 3 + 4 = 7. #### 7 | 7",
                "#### 1,234 and later 99 | 1234",
                "#### $-18.50 | -18.50",
                "The answer is 1,234,567. | 1234567",
                "It is 72.00 | 72.00",
                "12, 13 | 13",
                "from 3-4 | 4",
                "x = -5 | -5",
                "so $1,000.5 in all | 1000.5",
                "1,23 | 23",
                "no numbers here | ",
                "version 3.14.15 | 3.14"
            })
    void theResultIsTheMarkedNumberOrTheLast(String text, String result) {
        assertEquals(Optional.ofNullable(result), new AnswerMatch(Optional.empty()).result(text));
    }

    @Test
    void numbersAreComparedAsNumbersAndOtherResultsAsText() {
        assertTrue(AnswerMatch.same("72", "72.00"));
        assertTrue(AnswerMatch.same("1,234", "1234."));
        assertTrue(AnswerMatch.same("-.5", "-0.5"));
        assertEquals(false, AnswerMatch.same("7", "-7"));
        assertEquals(false, AnswerMatch.same("B", "b"));
        AnswerMatch letter = new AnswerMatch(Optional.of("^Answer: ([A-D])"));
        assertEquals(Optional.of("C"), letter.result("Answer: A\nno,\nAnswer: C"));
        assertEquals(Optional.empty(), letter.result("the answer: C"));
        assertThrows(InputException.class, () -> new AnswerMatch(Optional.of("(")));
    }

    @Test
    void aSetIsScoredOverItsRowsAndResultsOverThoseThatHaveOne() {
        AnswerScore score = new AnswerScore(new AnswerMatch(Optional.empty()), false);
        for (List<String> pair :
                List.of(List.of(" 7\n", "7"), List.of("about 8", "#### 9"), List.of("yes", "no"), List.of("", "5"))) {
            score.add(pair.get(0), pair.get(1));
        }
        AnswerScore.Total total = score.total();
        assertEquals(4, total.rows());
        assertEquals(25, total.exactMatch());
        assertEquals(3, total.withResult());
        assertEquals(100.0 / 3, total.answerMatch(), 1e-9);
        assertEquals(25, total.rouge1(), 1e-9);
        assertEquals(0, total.rouge2(), 1e-9);
    }
}
