package org.sftnative.template;

import java.time.Clock;
import java.time.ZonedDateTime;
import java.time.format.TextStyle;
import java.util.Locale;

/// `strftime_now`: the caller's clock in Python's `strftime`, with English names.
final class Strftime {
    private Strftime() {}

    static Str format(Str format, Clock clock, Budget budget) {
        ZonedDateTime now = ZonedDateTime.now(clock);
        String text = format.text();
        TextBuilder out = new TextBuilder(budget);
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) != '%' || i + 1 == text.length()) {
                out.append(format, i, i + 1);
                continue;
            }
            char c = text.charAt(++i);
            boolean unpadded = c == '-' && i + 1 < text.length();
            if (unpadded) {
                c = text.charAt(++i);
            }
            String part = field(c, now);
            out.append(
                    unpadded && part.length() > 1 && part.matches("[0 ]*\\d+")
                            ? part.replaceFirst("^[0 ]+(?=.)", "")
                            : part,
                    0);
        }
        return out.build();
    }

    private static String field(char c, ZonedDateTime now) {
        return switch (c) {
            case 'Y' -> Integer.toString(now.getYear());
            case 'y' -> two(now.getYear() % 100);
            case 'm' -> two(now.getMonthValue());
            case 'd' -> two(now.getDayOfMonth());
            case 'e' -> "%2d".formatted(now.getDayOfMonth());
            case 'B' -> now.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
            case 'b', 'h' ->
                now.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH).substring(0, 3);
            case 'A' -> now.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
            case 'a' ->
                now.getDayOfWeek()
                        .getDisplayName(TextStyle.FULL, Locale.ENGLISH)
                        .substring(0, 3);
            case 'u' -> Integer.toString(now.getDayOfWeek().getValue());
            case 'w' -> Integer.toString(now.getDayOfWeek().getValue() % 7);
            case 'j' -> "%03d".formatted(now.getDayOfYear());
            case 'H' -> two(now.getHour());
            case 'I' -> two((now.getHour() + 11) % 12 + 1);
            case 'M' -> two(now.getMinute());
            case 'S' -> two(now.getSecond());
            case 'f' -> "%06d".formatted(now.getNano() / 1000);
            case 'p' -> now.getHour() < 12 ? "AM" : "PM";
            case 'F' -> now.getYear() + "-" + two(now.getMonthValue()) + "-" + two(now.getDayOfMonth());
            case 'T' -> two(now.getHour()) + ":" + two(now.getMinute()) + ":" + two(now.getSecond());
            case 'R' -> two(now.getHour()) + ":" + two(now.getMinute());
            case 'D' -> two(now.getMonthValue()) + "/" + two(now.getDayOfMonth()) + "/" + two(now.getYear() % 100);
            // Python's datetime.now() carries no zone
            case 'z', 'Z' -> "";
            case 'n' -> "\n";
            case 't' -> "\t";
            case '%' -> "%";
            default -> throw new TemplateFault("strftime_now does not know %" + c);
        };
    }

    private static String two(int number) {
        return "%02d".formatted(number);
    }
}
