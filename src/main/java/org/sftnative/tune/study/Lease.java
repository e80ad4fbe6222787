package org.sftnative.tune.study;

import java.util.Map;

/// A trial in a worker's hands. Every write about the trial carries the token; a newer lease has a higher one, and with
/// it the old one's writes are refused.
///
/// @param trial the trial's number
/// @param values what the space gave it
public record Lease(int trial, long token, Map<String, Object> values) {}
