package org.sftnative.generate;

import java.util.Optional;

/// What generated answers are worth against the expected ones.
public final class AnswerScore {
    private final AnswerMatch match;
    private final Bleu bleu;
    private int rows;
    private int exact;
    private double rouge1;
    private double rouge2;
    private double rougeL;
    private int withResult;
    private int matched;

    /// @param match finds results in answers
    /// @param chinese the tokenizer of BLEU
    public AnswerScore(AnswerMatch match, boolean chinese) {
        this.match = match;
        bleu = new Bleu(chinese);
    }

    /// The score of all rows. All but `rows` are from 0 to 100.
    ///
    /// @param exactMatch answers that are the expected one, blanks at both ends aside
    /// @param bleu of the corpus
    /// @param rouge1 mean over rows
    /// @param answerMatch of the rows whose expected answer has a result: those where the answer has the same
    /// @param withResult how many these are
    public record Total(
            int rows,
            double exactMatch,
            double bleu,
            double rouge1,
            double rouge2,
            double rougeL,
            double answerMatch,
            int withResult) {}

    public void add(String answer, String expected) {
        rows++;
        exact += answer.strip().equals(expected.strip()) ? 1 : 0;
        bleu.add(answer, expected);
        Rouge rouge = Rouge.of(answer, expected);
        rouge1 += rouge.one();
        rouge2 += rouge.two();
        rougeL += rouge.longest();
        Optional<String> wanted = match.result(expected);
        if (wanted.isPresent()) {
            withResult++;
            matched += match.result(answer)
                            .filter(found -> AnswerMatch.same(found, wanted.get()))
                            .isPresent()
                    ? 1
                    : 0;
        }
    }

    public Total total() {
        double n = Math.max(1, rows);
        return new Total(
                rows,
                100 * exact / n,
                bleu.score(),
                rouge1 / n,
                rouge2 / n,
                rougeL / n,
                100.0 * matched / Math.max(1, withResult),
                withResult);
    }
}
