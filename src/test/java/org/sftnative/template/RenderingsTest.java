package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/// Whole templates on whole conversations, as transformers renders them, generation spans included.
class RenderingsTest {
    @Test
    void ownTemplatesAreRenderedAsTransformersDoes() {
        JsonNode fixture = Golden.json("renderings.json");
        Map<String, ChatTemplate> templates = new HashMap<>();
        List<String> wrong = new ArrayList<>();
        int spans = 0;
        for (var rendering : fixture.path("renderings").properties()) {
            String[] key = rendering.getKey().split(" ", 2);
            ChatTemplate template = templates.computeIfAbsent(key[0], RenderingsTest::template);
            Optional<Rendered> made = Golden.render(template, key[1], fixture);
            JsonNode expected = rendering.getValue();
            if (expected.isNull() != made.isEmpty()) {
                wrong.add(rendering.getKey() + ": error here or there alone");
            } else if (made.isPresent()) {
                List<List<Integer>> generation = Golden.spans(expected.path("generation"));
                spans += generation.size();
                if (!made.get().text().equals(expected.path("text").stringValue())) {
                    wrong.add(rendering.getKey() + "\n  Jinja2: "
                            + expected.path("text").stringValue() + "\n  here:   "
                            + made.get().text());
                } else if (!Golden.codePoints(made.get()).equals(generation)) {
                    wrong.add(rendering.getKey() + ": spans " + Golden.codePoints(made.get()) + " not " + generation);
                }
            }
        }
        assertEquals(List.of(), wrong, () -> wrong.size() + " differ:\n" + String.join("\n", wrong));
        assertEquals(7 + 12, templates.size());
        assertTrue(spans > 200, spans + " spans");
    }

    private static ChatTemplate template(String name) {
        String[] parts = name.split("/");
        return parts[0].equals("built-in")
                ? BuiltInTemplates.named(parts[1])
                : ChatTemplate.parse(Golden.text(Golden.FOLDER.resolve("own").resolve(parts[1] + ".jinja")));
    }
}
