package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;

/// Broken templates and odd rows: a text or an InputException, never anything else. Seeded, so that a
/// failure repeats.
class TemplateFuzzTest {
    private static final int ROUNDS = 30_000;
    private static final String[] TEXTS = {
        "", " ", "text", "😀你", "<think>a</think>b", "\ud800", "a\0b", "line\r\nline\u2028", "{{ x }}", "</think>",
    };
    private static final String[] PIECES = {
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "+",
        "'",
        "\"",
        "\\",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "|",
        "~",
        ":",
        ",",
        ".",
        "*",
        "**",
        "%",
        "//",
        " is ",
        " in ",
        " not ",
        " if ",
        " else ",
        "{% endfor %}",
        "{% endif %}",
        "{% break %}",
        "loop",
        "messages",
        "[::-1]",
        "[-1]",
        "|tojson",
        "|list",
        "|join",
        "|sort",
        "|map('upper')",
        "1e999",
        "0x",
        "😀",
        "\0",
        "\r\n",
        "none",
        "namespace()",
        "|int",
        " == ",
        " < ",
        "{% raw %}",
        "|groupby(0)",
        "9223372036854775807",
        "{% generation %}",
        "{% set x = ",
        "|format(",
        ".items()",
        ".split(",
        "|slice(",
        "|batch(",
        "|round(",
        "%s",
        "\ud800",
    };

    @Test
    void mutatedTemplatesGiveATextOrAnInputException() {
        JsonNode conformance = Golden.json("conformance.json");
        JsonNode renderings = Golden.json("renderings.json");
        List<String> sources = new ArrayList<>();
        conformance.path("pieces").properties().forEach(piece -> sources.add(piece.getKey()));
        BuiltInTemplates.names()
                .forEach(name -> sources.add(BuiltInTemplates.named(name).source()));
        List<RenderInput> inputs = new ArrayList<>();
        for (JsonNode conversation : renderings.path("conversations")) {
            inputs.add(Golden.input(conversation, conformance.path("context")));
        }
        Random random = new Random(20_240_706);
        Limits limits = new Limits(50_000, 1_000);
        int texts = 0;
        int refused = 0;
        for (int round = 0; round < ROUNDS; round++) {
            String source = mutated(sources.get(random.nextInt(sources.size())), sources, random);
            try {
                Rendered made = ChatTemplate.parse(source).render(inputs.get(random.nextInt(inputs.size())), limits);
                checkSpans(made);
                texts++;
            } catch (InputException e) {
                assertTrue(e.getMessage().startsWith("chat template"), e.getMessage());
                refused++;
            } catch (RuntimeException | Error e) {
                fail("round " + round + ": " + source, e);
            }
        }
        assertTrue(texts > ROUNDS / 10 && refused > ROUNDS / 10, texts + " texts, " + refused + " refused");
    }

    @Test
    void oddRowsGiveATextOrAnInputException() throws IOException {
        List<ChatTemplate> templates = new ArrayList<>();
        BuiltInTemplates.names().forEach(name -> templates.add(BuiltInTemplates.named(name)));
        try (var files = Files.list(Golden.FOLDER.resolve("own"))) {
            files.sorted().forEach(file -> templates.add(ChatTemplate.parse(Golden.text(file))));
        }
        Random random = new Random(7);
        int texts = 0;
        for (int round = 0; round < ROUNDS; round++) {
            List<Value> messages = new ArrayList<>();
            for (int i = random.nextInt(5); i > 0; i--) {
                messages.add(random.nextInt(20) == 0 ? value(random, 0) : message(random));
            }
            RenderInput input = RenderInput.of(messages).withGenerationPrompt(random.nextBoolean());
            for (String name : List.of("bos_token", "eos_token")) {
                input = random.nextInt(20) == 0 ? input : input.with(name, Value.of("<s>"));
            }
            input = random.nextInt(3) == 0 ? input.withTools(value(random, 0)) : input;
            try {
                checkSpans(templates.get(random.nextInt(templates.size())).render(input));
                texts++;
            } catch (InputException e) {
                assertTrue(e.getMessage().contains("line "), e.getMessage());
            } catch (RuntimeException | Error e) {
                fail("round " + round + ": " + messages, e);
            }
        }
        assertTrue(texts > ROUNDS / 5, texts + " texts");
    }

    private static Value message(Random random) {
        String[] roles = {"user", "assistant", "system", "tool", "", "User"};
        Map<String, Value> message = new LinkedHashMap<>();
        message.put("role", random.nextInt(15) == 0 ? value(random, 0) : Value.of(roles[random.nextInt(roles.length)]));
        message.put(
                "content", random.nextInt(6) == 0 ? value(random, 0) : Value.of(TEXTS[random.nextInt(TEXTS.length)]));
        if (random.nextInt(5) == 0) {
            message.put("tool_calls", value(random, 0));
        }
        return Value.of(message);
    }

    private static Value value(Random random, int depth) {
        return switch (random.nextInt(depth > 3 ? 6 : 8)) {
            case 0 -> Value.none();
            case 1 -> Value.of(random.nextBoolean());
            case 2 -> Value.of(random.nextLong());
            case 3 -> Value.of(new double[] {0.5, Double.NaN, 1e300, -0.0}[random.nextInt(4)]);
            case 4, 5 -> Value.of(TEXTS[random.nextInt(TEXTS.length)]);
            case 6 -> {
                List<Value> items = new ArrayList<>();
                for (int i = random.nextInt(4); i > 0; i--) {
                    items.add(value(random, depth + 1));
                }
                yield Value.of(items);
            }
            default -> {
                Map<String, Value> entries = new LinkedHashMap<>();
                String[] keys = {
                    "function", "name", "arguments", "type", "text", "parameters", "properties", "items", "id"
                };
                for (int i = random.nextInt(5); i > 0; i--) {
                    entries.put(keys[random.nextInt(keys.length)], value(random, depth + 1));
                }
                yield Value.of(entries);
            }
        };
    }

    private static void checkSpans(Rendered made) {
        for (List<Span> spans : List.of(made.generation(), made.fromRows())) {
            int at = 0;
            for (Span span : spans) {
                assertTrue(span.start() >= at && span.end() <= made.text().length());
                at = span.end();
            }
        }
    }

    private static String mutated(String source, List<String> others, Random random) {
        StringBuilder text = new StringBuilder(source);
        int changes = 1 + random.nextInt(3);
        for (int i = 0; i < changes; i++) {
            int at = random.nextInt(text.length() + 1);
            int end = Math.min(text.length(), at + random.nextInt(6));
            switch (random.nextInt(5)) {
                case 0 -> text.delete(at, end);
                case 1 -> text.insert(at, PIECES[random.nextInt(PIECES.length)]);
                case 2 -> text.replace(at, end, PIECES[random.nextInt(PIECES.length)]);
                case 3 -> text.insert(at, text.substring(at, end));
                default -> {
                    String other = others.get(random.nextInt(others.size()));
                    int from = random.nextInt(other.length() + 1);
                    text.insert(at, other, from, Math.min(other.length(), from + random.nextInt(20)));
                }
            }
        }
        return text.toString();
    }
}
