package org.sftnative.config;

import java.util.Locale;

/// Which turns of a conversation are trained.
public enum TrainOn {
    /// Every token.
    ALL,
    /// What the assistant says, with the token that ends its turn.
    ASSISTANT,
    /// The assistant's last turn only.
    LAST_TURN;

    /// The spelling in settings.
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
