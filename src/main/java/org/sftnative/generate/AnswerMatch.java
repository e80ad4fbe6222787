package org.sftnative.generate;

import java.math.BigDecimal;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.sftnative.InputException;

/// Whether an answer comes to the same result as the one that is expected: what a pattern finds last in both. Two
/// numbers are compared as numbers (`1,234` is `1234.0`), other finds as text.
public final class AnswerMatch {
    /// The number after `####`, as GSM8K ends its solutions.
    private static final Pattern MARKED = Pattern.compile("####\\s*\\$?\\s*([-+]?\\d[\\d,]*(?:\\.\\d+)?|[-+]?\\.\\d+)");
    /// A number: commas only before three digits, a minus only where it cannot be a dash.
    private static final Pattern NUMBER = Pattern.compile(
            "(?<![\\d.])((?<!\\w)-?\\$?\\d{1,3}(?:,\\d{3})+(?:\\.\\d+)?(?!\\d)|(?<!\\w)-?\\$?\\d+(?:\\.\\d+)?|\\d+(?:\\.\\d+)?)");

    private final Optional<Pattern> pattern;

    /// @param pattern its first group, or all of it, is the result; empty: the number after `####`, or else the last
    /// @throws InputException if it is no regular expression
    public AnswerMatch(Optional<String> pattern) {
        try {
            this.pattern = pattern.map(p -> Pattern.compile(p, Pattern.MULTILINE));
        } catch (PatternSyntaxException e) {
            throw new InputException(
                    "setting 'answer_regex' is '" + pattern.orElseThrow() + "', which is no regular expression: "
                            + e.getDescription(),
                    e);
        }
    }

    /// The result of a text; empty if it has none.
    public Optional<String> result(String text) {
        return pattern.isPresent()
                ? last(pattern.get(), text).map(String::strip)
                : last(MARKED, text).or(() -> last(NUMBER, text)).map(n -> n.replaceAll("[$,\\s]", ""));
    }

    /// Whether two results are equal.
    public static boolean same(String a, String b) {
        Optional<BigDecimal> x = number(a);
        Optional<BigDecimal> y = number(b);
        return x.isPresent() && y.isPresent() ? x.get().compareTo(y.get()) == 0 : a.equals(b);
    }

    private static Optional<String> last(Pattern pattern, String text) {
        Matcher matcher = pattern.matcher(text);
        Optional<String> found = Optional.empty();
        while (matcher.find()) {
            found = Optional.ofNullable(matcher.groupCount() > 0 ? matcher.group(1) : matcher.group());
        }
        return found;
    }

    private static Optional<BigDecimal> number(String text) {
        String plain = text.replaceAll("[$,]", "").strip();
        return plain.matches("[-+]?(\\d+(\\.\\d*)?|\\.\\d+)") && plain.length() < 1000
                ? Optional.of(new BigDecimal(plain.endsWith(".") ? plain.substring(0, plain.length() - 1) : plain))
                : Optional.empty();
    }
}
