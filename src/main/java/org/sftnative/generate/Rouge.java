package org.sftnative.generate;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// ROUGE of one answer against one reference, from 0 to 100: the F1 of common single words, of pairs, and of the
/// longest common subsequence. Source: Lin 2004.
///
/// Words are runs of letters, marks and digits in lower case, so that `1,234` is two words as in Google's
/// `rouge_score`; unlike there, letters are those of all scripts, and each Chinese, Japanese or Thai character is a
/// word, since `rouge_score` gives 0 to all of these. Words are not stemmed.
///
/// @param one ROUGE-1
/// @param two ROUGE-2
/// @param longest ROUGE-L
public record Rouge(double one, double two, double longest) {
    private static final Pattern WORD = Pattern.compile("[\\p{IsHan}\\p{IsHiragana}\\p{IsKatakana}\\p{IsThai}]"
            + "|[\\p{L}\\p{M}\\p{N}&&[^\\p{IsHan}\\p{IsHiragana}\\p{IsKatakana}\\p{IsThai}]]+");

    /// Compares two texts; nothing has nothing in common, not even with nothing.
    public static Rouge of(String answer, String reference) {
        List<String> a = words(answer);
        List<String> r = words(reference);
        return new Rouge(
                f1(common(a, r, 1), a.size(), r.size()),
                f1(common(a, r, 2), a.size() - 1, r.size() - 1),
                f1(longestCommon(a, r), a.size(), r.size()));
    }

    private static double f1(int common, int answer, int reference) {
        return common == 0 ? 0 : 200.0 * common / (answer + reference); // 2 P R / (P + R)
    }

    static List<String> words(String text) {
        List<String> words = new ArrayList<>();
        Matcher word = WORD.matcher(text.toLowerCase(Locale.ROOT));
        while (word.find()) {
            words.add(word.group());
        }
        return words;
    }

    private static int common(List<String> a, List<String> r, int n) {
        Map<List<String>, Integer> left = new HashMap<>();
        for (int i = 0; i + n <= r.size(); i++) {
            left.merge(r.subList(i, i + n), 1, Integer::sum);
        }
        int common = 0;
        for (int i = 0; i + n <= a.size(); i++) {
            common += left.merge(a.subList(i, i + n), -1, Integer::sum) >= 0 ? 1 : 0;
        }
        return common;
    }

    private static int longestCommon(List<String> a, List<String> r) {
        int[] before = new int[r.size() + 1];
        for (String word : a) {
            int[] row = new int[r.size() + 1];
            for (int j = 1; j < row.length; j++) {
                row[j] = word.equals(r.get(j - 1)) ? before[j - 1] + 1 : Math.max(row[j - 1], before[j]);
            }
            before = row;
        }
        return before[r.size()];
    }
}
