package org.sftnative.template;

import java.util.ArrayList;
import java.util.List;

/// What a template made of a conversation. All offsets are UTF-16 offsets in `text`.
///
/// @param text the whole text
/// @param generation what each `{% generation %}` block wrote, in order, one span a block and run: the
///     assistant's turns. Blocks that wrote nothing have none. Empty if the template has no such blocks.
/// @param fromRows the characters that came from the row (messages, tools, documents), in order, not
///     touching each other. Text that a filter rewrote counts as the row's if any of it may be. What lies
///     outside was written by the template: only there may special tokens be recognised.
public record Rendered(String text, List<Span> generation, List<Span> fromRows) {
    static Rendered of(Str text) {
        List<Span> generation = new ArrayList<>();
        List<Span> fromRows = new ArrayList<>();
        Marks marks = text.marks();
        int start = 0;
        int generationStart = 0;
        int rowStart = 0;
        int before = 0;
        int runs = marks.kinds().length;
        for (int run = 0; run <= runs; run++) {
            int kind = run < runs ? marks.kinds()[run] : 0;
            if (kind >> 1 != before >> 1) {
                if (before >> 1 != 0 && start > generationStart) {
                    generation.add(new Span(generationStart, start));
                }
                generationStart = start;
            }
            if ((kind & Marks.ROW_BIT) != (before & Marks.ROW_BIT)) {
                if ((before & Marks.ROW_BIT) != 0 && start > rowStart) {
                    fromRows.add(new Span(rowStart, start));
                }
                rowStart = start;
            }
            before = kind;
            start = run < runs && !marks.isUniform()
                    ? marks.ends()[run]
                    : text.text().length();
        }
        return new Rendered(text.text(), List.copyOf(generation), List.copyOf(fromRows));
    }
}
