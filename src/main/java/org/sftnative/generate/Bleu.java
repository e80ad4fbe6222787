package org.sftnative.generate;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/// Corpus BLEU-4 of answers against one reference each, from 0 to 100: sacrebleu's `corpus_bleu` with its defaults
/// (exponential smoothing), under the tokenizers that it calls `13a` and `zh`. Source: Papineni et al. 2002.
public final class Bleu {
    private static final int ORDER = 4;
    private static final String SPACE =
            "[\\s\\x1c-\\x1f\\x85\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
    private static final Pattern SPACES = Pattern.compile(SPACE);
    /// mteval-v13a: symbols stand alone; a period, comma or dash does unless it is inside a number.
    private static final Pattern SYMBOL = Pattern.compile("([{-~\\[-`\\x20-\\x26(-+:-@/])");
    private static final Pattern AFTER_NO_DIGIT = Pattern.compile("([^0-9])([.,])");
    private static final Pattern BEFORE_NO_DIGIT = Pattern.compile("([.,])([^0-9])");
    private static final Pattern DASH = Pattern.compile("([0-9])(-)");

    /// What stands alone under `zh`. Two ranges are as sacrebleu has them and not as their comments there say: its
    /// `\u20000` is U+2000 and a zero, so that U+2001 to U+2A6D are among them, and the second plane is not.
    private static final int[][] CHINESE = {
        {0x3400, 0x4DB5}, {0x4E00, 0x9FA5}, {0x9FA6, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9},
        {0x2001, 0x2A6D}, {0x2F81, 0x2FA1}, {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF}, {0x3000, 0x303F}, {0x31C0, 0x31EF},
        {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF}, {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
        {0x2600, 0x26FF}, {0x2700, 0x27BF}, {0x3200, 0x32FF}, {0x3300, 0x33FF}
    };

    private final boolean chinese;
    private final long[] correct = new long[ORDER];
    private final long[] total = new long[ORDER];
    private long answerLength;
    private long referenceLength;

    /// @param chinese whether the tokenizer is `zh`, else `13a`
    public Bleu(boolean chinese) {
        this.chinese = chinese;
    }

    /// Adds one answer.
    public void add(String answer, String reference) {
        List<String> a = tokens(answer);
        List<String> r = tokens(reference);
        answerLength += a.size();
        referenceLength += r.size();
        for (int n = 1; n <= ORDER; n++) {
            Map<List<String>, Integer> wanted = grams(r, n);
            total[n - 1] += Math.max(0, a.size() - n + 1);
            for (Map.Entry<List<String>, Integer> gram : grams(a, n).entrySet()) {
                correct[n - 1] += Math.min(gram.getValue(), wanted.getOrDefault(gram.getKey(), 0));
            }
        }
    }

    /// The score of all that was added.
    public double score() {
        if (Arrays.stream(correct).sum() == 0) {
            return 0;
        }
        double smooth = 1;
        double logs = 0;
        for (int n = 0; n < ORDER; n++) {
            if (total[n] == 0) {
                return 0; // no answer is as long as n + 1 tokens
            }
            double precision;
            if (correct[n] == 0) {
                smooth *= 2;
                precision = 1 / (smooth * total[n]);
            } else {
                precision = (double) correct[n] / total[n];
            }
            logs += Math.log(precision);
        }
        double brevity = answerLength < referenceLength ? Math.exp(1 - (double) referenceLength / answerLength) : 1;
        return 100 * brevity * Math.exp(logs / ORDER);
    }

    private static Map<List<String>, Integer> grams(List<String> tokens, int n) {
        Map<List<String>, Integer> counts = new HashMap<>();
        for (int i = 0; i + n <= tokens.size(); i++) {
            counts.merge(tokens.subList(i, i + n), 1, Integer::sum);
        }
        return counts;
    }

    /// The tokens of a text.
    List<String> tokens(String text) {
        String line = text.replaceAll(SPACE + "$", "");
        if (chinese) {
            StringBuilder apart = new StringBuilder();
            line.replaceAll("^" + SPACE, "").codePoints().forEach(c -> {
                String piece = Character.toString(c);
                apart.append(isChinese(c) ? " " + piece + " " : piece);
            });
            line = apart.toString();
        } else {
            line = line.replace("<skipped>", "").replace("-\n", "").replace("\n", " ");
            line = line.replace("&quot;", "\"")
                    .replace("&amp;", "&")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">");
            line = " " + line + " ";
        }
        line = SYMBOL.matcher(line).replaceAll(" $1 ");
        line = AFTER_NO_DIGIT.matcher(line).replaceAll("$1 $2 ");
        line = BEFORE_NO_DIGIT.matcher(line).replaceAll(" $1 $2");
        line = DASH.matcher(line).replaceAll("$1 $2 ");
        return SPACES.splitAsStream(line).filter(t -> !t.isEmpty()).toList();
    }

    private static boolean isChinese(int c) {
        for (int[] range : CHINESE) {
            if (range[0] <= c && c <= range[1]) {
                return true;
            }
        }
        return false;
    }
}
