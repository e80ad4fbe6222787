package org.sftnative.model;

import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.sftnative.InputException;

/// Regular expressions of users', matched within a budget: one that backtracks without end is refused.
final class BoundedRegex {
    /// Characters that the matcher may look at; a harmless expression looks at each a few times.
    private static final int BUDGET = 1_000_000;

    private static final int LONGEST = 4096;

    private BoundedRegex() {}

    /// Whether an expression matches a whole text.
    ///
    /// @throws InputException if it is none, or needs too long
    static boolean matches(String regex, String text) {
        if (regex.length() > LONGEST) {
            throw new InputException("a regular expression has " + regex.length() + " characters, at most " + LONGEST);
        }
        try {
            return Pattern.compile(regex).matcher(new Metered(text)).matches();
        } catch (PatternSyntaxException e) {
            throw new InputException(
                    "'" + regex + "' is no regular expression: " + e.getDescription() + " at character " + e.getIndex(),
                    e);
        } catch (Exhausted | StackOverflowError e) {
            throw new InputException("the regular expression '" + regex + "' takes too long on '" + text + "'"
                    + "\n  write it without a repetition inside a repetition, as in (a+)+");
        }
    }

    private static final class Exhausted extends RuntimeException {
        Exhausted() {
            super("too long", null, false, false);
        }
    }

    /// A text that counts how often it is looked at.
    private static final class Metered implements CharSequence {
        private final String text;
        private int left = BUDGET;

        Metered(String text) {
            this.text = text;
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public char charAt(int index) {
            if (left-- == 0) {
                throw new Exhausted();
            }
            return text.charAt(index);
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return text.substring(start, end);
        }

        @Override
        public String toString() {
            return text;
        }
    }
}
