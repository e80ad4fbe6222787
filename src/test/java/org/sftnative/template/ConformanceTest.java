package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// Small pieces of Jinja, each as Jinja2 renders it: text for text, error for error.
class ConformanceTest {
    @Test
    void everyPieceIsRenderedAsJinja2Does() {
        JsonNode fixture = Golden.json("conformance.json");
        List<String> wrong = new ArrayList<>();
        int texts = 0;
        int errors = 0;
        for (var piece : fixture.path("pieces").properties()) {
            Optional<String> expected = piece.getValue().isNull()
                    ? Optional.empty()
                    : Optional.of(piece.getValue().stringValue());
            if (expected.isPresent()) {
                texts++;
            } else {
                errors++;
            }
            String made;
            Optional<String> actual;
            try {
                actual = Optional.of(ChatTemplate.parse(piece.getKey())
                        .render(Golden.input(JsonNodeFactory.instance.objectNode(), fixture.path("context")))
                        .text());
                made = actual.get();
            } catch (InputException e) {
                actual = Optional.empty();
                made = "error: " + e.getMessage();
            }
            if (!actual.equals(expected)) {
                wrong.add(piece.getKey() + "\n  Jinja2: " + expected.orElse("an error") + "\n  here:   " + made);
            }
        }
        assertEquals(List.of(), wrong, () -> wrong.size() + " pieces differ:\n" + String.join("\n", wrong));
        assertTrue(texts > 700 && errors > 140, texts + " texts, " + errors + " errors");
    }
}
