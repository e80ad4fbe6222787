package org.sftnative.template;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.sftnative.InputException;

/// The chat templates that come with the program, each with generation blocks around the assistant's text
/// and the token that ends it.
///
/// - `alpaca`: the tutorial's instruction sections; a user's turn is an instruction with an empty input
/// - `tutorial-chat`: `<|user|>`, newline, text, `</s>`, newline; likewise `<|system|>` and `<|assistant|>`
/// - `zephyr`: the same with the tokenizer's own end of sequence
/// - `chatml`: `<|im_start|>user`, newline, text, `<|im_end|>`, newline
/// - `llama2`: `<s>[INST] text [/INST] answer </s>`, the system text in `<<SYS>>` inside the first question
/// - `llama3`: `<|start_header_id|>user<|end_header_id|>`, two newlines, text, `<|eot_id|>`
/// - `mistral`: one `<s>`, then `[INST] text [/INST] answer</s>`
///
/// `llama2`, `llama3` and `mistral` write `bos_token` themselves; all but `chatml` and `llama3` need
/// `eos_token`, `tutorial-chat` excepted.
public final class BuiltInTemplates {
    private static final List<String> NAMES =
            List.of("alpaca", "tutorial-chat", "chatml", "llama2", "llama3", "mistral", "zephyr");

    private BuiltInTemplates() {}

    /// All names.
    public static List<String> names() {
        return NAMES;
    }

    /// The template of a name.
    ///
    /// @throws InputException if there is none
    public static ChatTemplate named(String name) {
        if (!NAMES.contains(name)) {
            throw new InputException(
                    "no built-in chat template '" + Shown.of(name) + "'\n  there are: " + String.join(", ", NAMES));
        }
        try (InputStream in = BuiltInTemplates.class.getResourceAsStream(name + ".jinja")) {
            if (in == null) {
                throw new IllegalStateException("the resource " + name + ".jinja is missing");
            }
            return ChatTemplate.parse("template '" + name + "'", new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
