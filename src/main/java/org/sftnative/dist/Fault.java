package org.sftnative.dist;

/// Why a run of several ranks ends before its time: the first cause that rank 0 heard of.
///
/// @param rank where it happened
/// @param message what it was; lines after the first say what to do
/// @param led whether rank 0 knows of it, and says so
public record Fault(int rank, String message, boolean led) {
    /// `rank 2: ...`.
    @Override
    public String toString() {
        return "rank " + rank + ": " + message;
    }
}
