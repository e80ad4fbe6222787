package org.sftnative.template;

/// What one rendering may use. None of it is time: the same template and row stop at the same place
/// everywhere.
///
/// @param maxSteps steps of the interpreter; a character made or looked at counts an eighth, an item of a
///     list one
/// @param maxDepth levels of nested blocks, expressions, macro calls and values
public record Limits(long maxSteps, int maxDepth) {
    /// A template without end stops within a second; a conversation of a million characters passes.
    public static final Limits DEFAULT = new Limits(5_000_000, 1_000);

    /// Refuses limits below 1.
    public Limits {
        if (maxSteps < 1 || maxDepth < 1) {
            throw new IllegalArgumentException("limits below 1: " + maxSteps + " steps, " + maxDepth + " levels");
        }
    }
}
