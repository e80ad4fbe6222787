package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/// The templates of models that trl ships, read from an installed trl: Python is `SFT_PYTHON`, else
/// `python3`. The fixture holds hashes alone.
@Tag("trl")
class ReferenceTemplatesTest {
    private static final String FIND = "import importlib.metadata as m, importlib.util as u, os;"
            + "print(m.version('trl')); print(os.path.dirname(u.find_spec('trl').origin))";

    @Test
    void trlsTemplatesAreRenderedAsTransformersDoes() throws Exception {
        JsonNode fixture = Golden.json("trl.json");
        JsonNode conversations = Golden.json("renderings.json");
        Path folder = folder(fixture.path("version").stringValue());
        List<String> wrong = new ArrayList<>();
        int compared = 0;
        int refused = 0;
        for (var file : fixture.path("files").properties()) {
            String source = Golden.text(folder.resolve(file.getKey()));
            assertEquals(
                    file.getValue().path("sha256").stringValue(), sha256(source), file.getKey() + " is another file");
            ChatTemplate template = ChatTemplate.parse(file.getKey(), source);
            for (var rendering : file.getValue().path("renderings").properties()) {
                Optional<Rendered> made = Golden.render(template, rendering.getKey(), conversations);
                JsonNode expected = rendering.getValue();
                String name = file.getKey() + " " + rendering.getKey();
                compared++;
                refused += expected.isNull() ? 1 : 0;
                if (expected.isNull() != made.isEmpty()) {
                    wrong.add(name + ": an error " + (made.isEmpty() ? "here" : "there") + " alone");
                } else if (made.isPresent()) {
                    String text = made.get().text();
                    if (!expected.path("sha256")
                            .stringValue()
                            .equals(sha256(text).substring(0, 32))) {
                        wrong.add(name + ": " + text.codePointCount(0, text.length()) + " characters, not "
                                + expected.path("length").intValue() + ":\n" + text);
                    } else if (!Golden.codePoints(made.get()).equals(Golden.spans(expected.path("generation")))) {
                        wrong.add(name + ": spans " + Golden.codePoints(made.get()) + ", not "
                                + expected.path("generation"));
                    }
                }
            }
        }
        assertEquals(List.of(), wrong, () -> wrong.size() + " differ:\n" + String.join("\n", wrong));
        assertTrue(compared - refused > 2000, compared + " compared, " + refused + " refused by both");
    }

    private static Path folder(String version) throws IOException, InterruptedException {
        String python = Optional.ofNullable(System.getenv("SFT_PYTHON")).orElse("python3");
        Process process =
                new ProcessBuilder(python, "-c", FIND).redirectErrorStream(true).start();
        String[] lines = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                .strip()
                .split("\n");
        assertEquals(
                0,
                process.waitFor(),
                () -> python + " has no trl: pip install trl==" + version
                        + ", or set SFT_PYTHON to a Python that has it");
        assertEquals(version, lines[0], "the fixture was made with another version of trl");
        return Path.of(lines[1], "chat_templates");
    }

    private static String sha256(String text) throws NoSuchAlgorithmException {
        return HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    }
}
