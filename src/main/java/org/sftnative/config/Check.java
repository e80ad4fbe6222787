package org.sftnative.config;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// Range checks of settings records.
final class Check {
    private static final Pattern MESSAGE = Pattern.compile("setting '(\\w+)' is ");

    private Check() {}

    /// @throws InputException naming the setting, its value and what is allowed
    static void that(boolean holds, String setting, Object value, String allowed) {
        if (!holds) {
            throw new InputException("setting '" + setting + "' is " + value + ", must be " + allowed);
        }
    }

    /// Which setting a message of `that` speaks of. The records do not know where a value came from; whoever binds
    /// them does, and asks here.
    static Optional<String> settingOf(String message) {
        Matcher matcher = MESSAGE.matcher(message);
        return matcher.lookingAt() ? Optional.of(matcher.group(1)) : Optional.empty();
    }
}
