package org.sftnative.tune;

import java.util.List;
import java.util.Map;

/// One way in which a setting gets its value.
///
/// @param setting the setting's name
/// @param alternative which of the setting's entries it is, from 0
/// @param when what must hold for it to count; of a setting's entries the first that counts is taken
/// @param origin `space.yaml:4`
record Parameter(String setting, int alternative, List<Condition> when, Domain domain, String origin) {
    boolean counts(Map<String, Object> chosen) {
        return when.stream().allMatch(condition -> condition.holds(chosen));
    }

    /// Its name in draws: one that no other has, and that adding other settings does not change.
    String key() {
        return alternative == 0 ? setting : setting + "/" + alternative;
    }

    boolean isGrid() {
        return domain instanceof Domain.Choice choice && choice.grid();
    }
}
