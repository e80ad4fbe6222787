package org.sftnative.template;

/// What one rendering may use. None of it is time: the same template and row stop at the same place
/// everywhere.
///
/// @param maxSteps steps of the interpreter; a character made or looked at counts an eighth, an item of a
///     list one. A row has [#STEPS_A_CHARACTER] more for each of its characters, so that long rows pass.
/// @param maxDepth levels of nested blocks, expressions, macro calls and values
public record Limits(long maxSteps, int maxDepth) {
    /// A template without end stops within a second.
    public static final Limits DEFAULT = new Limits(3_000_000, 1_000);

    /// What each character of a row adds to the steps.
    public static final int STEPS_A_CHARACTER = 2;

    /// Refuses limits below 1.
    public Limits {
        if (maxSteps < 1 || maxDepth < 1) {
            throw new IllegalArgumentException("limits below 1: " + maxSteps + " steps, " + maxDepth + " levels");
        }
    }

    Budget budget(RenderInput input) {
        long characters = 0;
        for (Value message : input.messages()) {
            characters += characters(message, 0);
        }
        characters += input.tools().map(v -> characters(v, 0)).orElse(0L);
        characters += input.documents().map(v -> characters(v, 0)).orElse(0L);
        return new Budget(maxSteps + STEPS_A_CHARACTER * characters, maxDepth);
    }

    private static long characters(Value v, int depth) {
        if (depth > Value.MAX_NESTING) {
            return 0;
        }
        return switch (v) {
            case Str s -> s.text().length();
            case Seq seq ->
                seq.items().stream()
                        .mapToLong(item -> characters(item, depth + 1))
                        .sum();
            case Dict d ->
                d.entries().stream()
                        .mapToLong(e -> characters(e.key(), depth + 1) + characters(e.value(), depth + 1))
                        .sum();
            default -> 0;
        };
    }
}
