package org.sftnative.template;

/// A string that knows where its characters come from.
///
/// @param markup whether the filter `safe` or `escape` made it: `+` then escapes the other side, as
///     MarkupSafe does
record Str(String text, Marks marks, boolean markup) implements Value {
    static final Str EMPTY = template("");

    static Str template(String text) {
        return new Str(text, Marks.TEMPLATE, false);
    }

    static Str of(String text, int kind) {
        return new Str(text, kind == 0 ? Marks.TEMPLATE : Marks.uniform(kind), false);
    }

    /// Characters `from` to `to`, UTF-16 offsets.
    Str slice(int from, int to) {
        if (from >= to) {
            return new Str("", marks.isUniform() ? marks : Marks.TEMPLATE, markup);
        }
        if (from == 0 && to == text.length()) {
            return this;
        }
        if (marks.isUniform()) {
            return new Str(text.substring(from, to), marks, markup);
        }
        TextBuilder out = new TextBuilder(Budget.UNLIMITED);
        out.append(this, from, to);
        return new Str(text.substring(from, to), out.marks(), markup);
    }

    /// Another text that stands for this one: marked alike if this is marked alike throughout or the length
    /// is the same, else as a row's if any of this is.
    Str withText(String other) {
        if (marks.isUniform() || other.length() == text.length()) {
            return new Str(other, marks, markup);
        }
        return new Str(other, Marks.uniform(marks.blurred()), markup);
    }

    /// Without the mark of `safe`.
    Str plain() {
        return markup ? new Str(text, marks, false) : this;
    }

    /// `&`, `<`, `>` and quotes as HTML entities.
    Str escaped(Budget budget) {
        TextBuilder out = new TextBuilder(budget);
        for (int i = 0; i < text.length(); i++) {
            String entity = switch (text.charAt(i)) {
                case '&' -> "&amp;";
                case '<' -> "&lt;";
                case '>' -> "&gt;";
                case '\'' -> "&#39;";
                case '"' -> "&#34;";
                default -> "";
            };
            if (entity.isEmpty()) {
                out.append(this, i, i + 1);
            } else {
                out.append(entity, marks.at(i));
            }
        }
        return out.build().asMarkup();
    }

    Str asMarkup() {
        return new Str(text, marks, true);
    }
}
