package org.sftnative.io;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/// Safetensors files by hand, sound or not.
final class SafetensorsBytes {
    private SafetensorsBytes() {}

    /// Prefix, header (' stands for ") and a buffer of zeros.
    static byte[] file(String header, int bufferBytes) {
        byte[] json = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        return prefixed(json.length, Arrays.copyOf(json, json.length + bufferBytes));
    }

    /// A prefix that says `length`, and what follows.
    static byte[] prefixed(long length, byte[] rest) {
        return ByteBuffer.allocate(8 + rest.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(rest)
                .array();
    }
}
