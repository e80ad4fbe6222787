package org.sftnative.data;

/// What a row says, whatever its format: text that is given, and text that the model shall learn to write after it.
public record Example(String prompt, String response) {}
