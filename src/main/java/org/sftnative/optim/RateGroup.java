package org.sftnative.optim;

import java.util.List;

/// Neighbours in the flat buffer that are updated at one learning rate.
///
/// @param from first element
/// @param to one past the last
/// @param ratio of the schedule's learning rate
public record RateGroup(long from, long to, double ratio) {
    /// All of a buffer at the schedule's rate.
    public static List<RateGroup> all(long n) {
        return List.of(new RateGroup(0, n, 1));
    }
}
