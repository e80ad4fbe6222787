package org.sftnative.model;

/// Placeholder replaced by the model room.
public final class Parameters {}
