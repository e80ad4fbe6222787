package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.template.Rendered;
import org.sftnative.template.Span;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Turns found in templates without generation blocks, against the twins that trl writes for training: those of
/// an installed trl, by the Python of `SFT_PYTHON`, else `python3`.
@Tag("trl")
class TrlTwinsTest {
    private static final Pattern SPECIAL =
            Pattern.compile("<[|\uFF5C][^<>\\s]*[|\uFF5C]>|</?s>|<(?:start|end)_of_turn>|<turn\\|>|<\\|turn>");
    private static final String FIND =
            "import importlib.util as u, os; print(os.path.dirname(u.find_spec('trl').origin))";
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/tokenizer"));

    @Test
    void turnsAreThoseOfTrlsTrainingTemplates() throws Exception {
        List<String> wrong = new ArrayList<>();
        int compared = 0;
        try (Stream<Path> files = Files.list(folder())) {
            for (Path twin : files.filter(f -> f.toString().endsWith("_training.jinja"))
                    .sorted()
                    .toList()) {
                Path plain = twin.resolveSibling(twin.getFileName().toString().replace("_training", ""));
                for (List<ObjectNode> messages : conversations()) {
                    ChatFormat with = ChatFormat.of(TOKENIZER, Optional.of(twin.toString()));
                    ChatFormat without = ChatFormat.of(TOKENIZER, Optional.of(plain.toString()));
                    Rendered expected;
                    Rendered made;
                    try {
                        expected = with.render(messages, Optional.empty(), false);
                        made = without.render(messages, Optional.empty(), false);
                    } catch (InputException e) {
                        continue; // this template takes no such roles
                    }
                    if (!expected.text().equals(made.text())) {
                        continue; // the twin writes what the model's own template leaves out
                    }
                    SpecialTokens special = specialTokens(made.text());
                    List<String> ours = texts(
                            made.text(),
                            new TurnSpans(without, special, messages, Optional.empty(), made)
                                    .find().values().stream()
                                            .flatMap(List::stream)
                                            .toList());
                    List<String> theirs = texts(expected.text(), expected.generation());
                    compared++;
                    if (!same(ours, theirs, prompt(without))) {
                        wrong.add(plain.getFileName() + ": " + ours + "\n  trl: " + theirs + "\n  in  ..."
                                + made.text().substring(Math.max(0, made.text().length() - 200)));
                    }
                }
            }
        }
        assertEquals(List.of(), wrong, () -> wrong.size() + " differ:\n" + String.join("\n", wrong));
        assertTrue(compared > 40, compared + " compared");
    }

    /// Whether they are equal but for what the generation prompt writes, some of which trl trains: DeepSeek's header,
    /// Qwen 3.5's `<think>`. We never do, since no model has to write it.
    private static boolean same(List<String> ours, List<String> theirs, String prompt) {
        boolean same = ours.size() == theirs.size();
        for (int i = 0; same && i < ours.size(); i++) {
            int more = theirs.get(i).length() - ours.get(i).length();
            same = more >= 0
                    && theirs.get(i).endsWith(ours.get(i))
                    && prompt.contains(theirs.get(i).substring(0, more));
        }
        return same;
    }

    private static String prompt(ChatFormat format) {
        return format.render(turns("a"), Optional.empty(), true).text();
    }

    /// What is trained; runs that touch are one.
    private static List<String> texts(String text, List<Span> spans) {
        List<String> texts = new ArrayList<>();
        int end = -1;
        for (Span s : spans) {
            String piece = text.substring(s.start(), s.end());
            texts.add((s.start() == end ? texts.removeLast() : "") + piece);
            end = s.end();
        }
        // we train no new line after the end, and no EOS after Phi-3's last turn has ended
        return texts.stream()
                .map(t -> t.stripTrailing().replace("<|end|>\n</s>", "<|end|>"))
                .toList();
    }

    private static SpecialTokens specialTokens(String text) {
        Map<String, Integer> tokens = new HashMap<>();
        Matcher found = SPECIAL.matcher(text);
        while (found.find()) {
            tokens.putIfAbsent(found.group(), tokens.size());
        }
        return new SpecialTokens(tokens);
    }

    private static List<List<ObjectNode>> conversations() {
        return List.of(
                turns("Hi", "Hello 🙂"),
                turns("Hi", "Hello", "天空？", "蓝色。"),
                turns("Hi", "Hello", "Hi", "Hello", "Hi", "Hello"),
                turns("What is assistant?", "assistant", "user", "user <|im_end|> x"),
                turns("a", "<think>\nold\n</think>\n\none", "b", "<think>\nnew\n</think>\n\ntwo"),
                turns("open"));
    }

    private static List<ObjectNode> turns(String... texts) {
        List<ObjectNode> messages = new ArrayList<>();
        for (String text : texts) {
            ObjectNode message = JsonNodeFactory.instance.objectNode();
            messages.add(message.put("role", messages.size() % 2 == 0 ? "user" : "assistant")
                    .put("content", text));
        }
        return messages;
    }

    private static Path folder() throws IOException, InterruptedException {
        String python = Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3");
        Process process =
                new ProcessBuilder(python, "-c", FIND).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        assertEquals(0, process.waitFor(), () -> python + " has no trl: set SFT_PYTHON to a Python that has it");
        return Path.of(said, "chat_templates");
    }
}
