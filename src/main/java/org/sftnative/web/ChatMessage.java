package org.sftnative.web;

import java.util.Optional;

/// One turn of a conversation.
///
/// @param role system, user or assistant
/// @param name of the participant, for templates that use it
public record ChatMessage(String role, String content, Optional<String> name) {}
