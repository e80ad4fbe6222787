package org.sftnative.data;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;

/// The first 128 bits of the SHA-256 of what a row says: equal for equal rows, whatever file they
/// are in. Among a billion rows the chance that two others are taken for equal is 1e-21.
record ContentHash(long high, long low) {
    static ContentHash of(Example example) {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            List<String> parts = switch (example) {
                case Example.Completion(String prompt, String response) -> List.of(prompt, response);
                case Example.PlainText(String text) -> List.of(text);
                case Example.Conversation(var messages, var tools) -> List.of(messages.toString(), tools.toString());
            };
            for (String part : parts) {
                byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
                sha.update(ByteBuffer.allocate(4).putInt(bytes.length).array()); // else text could change sides
                sha.update(bytes);
            }
            ByteBuffer digest = ByteBuffer.wrap(sha.digest());
            return new ContentHash(digest.getLong(), digest.getLong());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /// Where the row lies in [0, 1), evenly spread.
    double position() {
        return (high >>> 11) * 0x1.0p-53;
    }
}
