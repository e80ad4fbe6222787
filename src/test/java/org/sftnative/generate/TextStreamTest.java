package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Tokens here are bytes of UTF-8.
class TextStreamTest {
    private final List<String> heard = new ArrayList<>();

    @Test
    void aCharacterComesWhenItIsWhole() {
        feed(stream(List.of()), "a天🙂");
        assertEquals(List.of("a", "天", "🙂"), heard);
    }

    @Test
    void theEndIsNotHeardAndNothingAfterIt() {
        TextStream stream = stream(List.of("<end>"));
        assertEquals("ab<end>".length(), feed(stream, "ab<end>cd"));
        stream.end();
        assertEquals("ab", String.join("", heard));
    }

    @Test
    void theEndMayBeInOneTokenWithOtherText() {
        List<String> tokens = List.of("天<", "end", ">c");
        TextStream stream =
                new TextStream(ids -> String.join("", tokens.subList(0, ids.length)), List.of("<end>"), heard::add);
        assertTrue(stream.test(0));
        assertTrue(stream.test(1));
        assertFalse(stream.test(2));
        stream.end();
        assertEquals(List.of("天"), heard);
    }

    @Test
    void whatOnlyBeginsLikeTheEndIsHeard() {
        TextStream stream = stream(List.of("<<end>"));
        assertEquals(10, feed(stream, "<<<en<e a<"));
        assertEquals("<<<en<e a", String.join("", heard));
        stream.end();
        assertEquals("<<<en<e a<", String.join("", heard));
    }

    @Test
    void anEndThatBeginsTwiceIsFound() {
        TextStream stream = stream(List.of("<<end>"));
        feed(stream, "<<<end>x");
        stream.end();
        assertEquals("<", String.join("", heard));
    }

    private TextStream stream(List<String> ends) {
        return new TextStream(
                ids -> {
                    byte[] bytes = new byte[ids.length];
                    for (int i = 0; i < ids.length; i++) {
                        bytes[i] = (byte) ids[i];
                    }
                    return new String(bytes, StandardCharsets.UTF_8);
                },
                ends,
                heard::add);
    }

    /// @return how many bytes it took
    private static int feed(TextStream stream, String text) {
        int taken = 0;
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            taken++;
            if (!stream.test(b)) {
                break;
            }
        }
        return taken;
    }
}
