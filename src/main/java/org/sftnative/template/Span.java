package org.sftnative.template;

/// Characters `start` to `end` (exclusive) of a rendered text, in UTF-16 offsets as of [String]. Never
/// empty.
public record Span(int start, int end) {
    /// Refuses what is no span.
    public Span {
        if (start < 0 || end <= start) {
            throw new IllegalArgumentException("no span: " + start + " to " + end);
        }
    }
}
