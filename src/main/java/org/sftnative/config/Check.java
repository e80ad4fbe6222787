package org.sftnative.config;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// Range checks of settings records.
final class Check {
    private static final Pattern MESSAGE = Pattern.compile("setting '(\\w+)' is ");

    private static final Pattern DURATION = Pattern.compile("0|([1-9]\\d{0,5})([smh])");

    private Check() {}

    /// @throws InputException naming the setting, its value and what is allowed
    static void that(boolean holds, String setting, Object value, String allowed) {
        if (!holds) {
            throw new InputException("setting '" + setting + "' is " + value + ", must be " + allowed);
        }
    }

    /// A duration such as `90s`, `30m`, `2h`, or 0, in nanoseconds.
    ///
    /// @throws InputException naming the setting
    static long nanos(String setting, String text) {
        Matcher matcher = DURATION.matcher(text);
        that(matcher.matches(), setting, text, "a duration such as 90s, 30m or 2h, or 0");
        if (matcher.group(2) == null) {
            return 0;
        }
        long seconds = Long.parseLong(matcher.group(1))
                * switch (matcher.group(2)) {
                    case "h" -> 3600;
                    case "m" -> 60;
                    default -> 1;
                };
        return seconds * 1_000_000_000L;
    }

    /// Which setting a message of `that` speaks of. The records do not know where a value came from; whoever binds
    /// them does, and asks here.
    static Optional<String> settingOf(String message) {
        Matcher matcher = MESSAGE.matcher(message);
        return matcher.lookingAt() ? Optional.of(matcher.group(1)) : Optional.empty();
    }
}
