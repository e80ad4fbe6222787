package org.sftnative.data;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.sftnative.InputException;

/// Broken rows that were skipped: at most `max_bad` of all files of a run.
public final class BadRows {
    private final int most;
    private final List<String> messages = new ArrayList<>();

    /// @param most how many are skipped; one more is an error
    public BadRows(int most) {
        this.most = most;
    }

    /// Counts a broken row.
    ///
    /// @throws InputException the reason, if it is one too many
    public void add(InputException reason) {
        if (messages.size() == most) {
            throw most == 0
                    ? reason
                    : new InputException(
                            reason.getMessage() + "\n  " + most + (most == 1 ? " broken row was" : " broken rows were")
                                    + " skipped before it: max_bad allows no more",
                            reason);
        }
        messages.add(reason.getMessage());
    }

    /// What was wrong with each, in order.
    public List<String> messages() {
        return Collections.unmodifiableList(messages);
    }
}
