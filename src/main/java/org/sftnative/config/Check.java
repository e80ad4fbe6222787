package org.sftnative.config;

import org.sftnative.InputException;

/// Range checks of settings records.
final class Check {
    private Check() {}

    /// @throws InputException naming the setting, its value and what is allowed
    static void that(boolean holds, String setting, Object value, String allowed) {
        if (!holds) {
            throw new InputException("setting '" + setting + "' is " + value + ", must be " + allowed);
        }
    }
}
