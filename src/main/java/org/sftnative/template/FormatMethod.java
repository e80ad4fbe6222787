package org.sftnative.template;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// `'..'.format(..)` with the fields `{}`, `{0}`, `{name}` and the conversions `!s` and `!r`; others are
/// refused.
final class FormatMethod {
    private static final Pattern FIELD = Pattern.compile("\\{(\\d{1,4}|[A-Za-z_]\\w*|)(?:!([sr]))?}");

    private FormatMethod() {}

    static Str apply(Str format, Args args, Budget budget) {
        StringMethods.refuseMarkup(format, "format");
        String text = format.text();
        TextBuilder out = new TextBuilder(budget);
        Matcher field = FIELD.matcher(text);
        int next = 0;
        boolean numbered = false;
        for (int i = 0; i < text.length(); ) {
            char c = text.charAt(i);
            if (c != '{' && c != '}') {
                out.append(format, i, i + 1);
                i++;
            } else if (i + 1 < text.length() && text.charAt(i + 1) == c) {
                out.append(format, i, i + 1);
                i += 2;
            } else if (c == '{' && field.region(i, text.length()).lookingAt()) {
                String name = field.group(1);
                boolean automatic = name.isEmpty();
                numbered |= !automatic && Character.isDigit(name.charAt(0));
                if (numbered && (automatic || next > 0)) {
                    throw new TemplateFault("format fields are numbered all or not at all");
                }
                Value value = value(args, automatic ? Integer.toString(next++) : name);
                out.append("r".equals(field.group(2)) ? Printer.repr(value, budget) : Printer.str(value, budget));
                i = field.end();
            } else {
                throw new TemplateFault("format takes {}, {0} and {name} alone, with !s or !r");
            }
        }
        return out.build();
    }

    private static Value value(Args args, String name) {
        boolean place = Character.isDigit(name.charAt(0));
        int index = place ? Integer.parseInt(name) : 0;
        Optional<Value> found = place
                ? Optional.of(index).filter(i -> i < args.positional().size()).map(args.positional()::get)
                : Optional.ofNullable(args.named().get(name));
        return found.orElseThrow(() -> new TemplateFault("format has no argument '" + name + "'"));
    }
}
