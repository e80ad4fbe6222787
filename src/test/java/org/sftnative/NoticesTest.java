package org.sftnative;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/// What is passed on in the jar is named with its licence.
class NoticesTest {
    /// Of the tests only: not in the jar.
    private static final Pattern TEST_JAR = Pattern.compile(
            "(junit|surefire|maven-surefire|archunit|opentest4j|apiguardian|jspecify|common-java5|open-test-reporting).*");

    @Test
    void noticesNameExactlyTheDependencies() throws Exception {
        Set<String> jars = Pattern.compile(File.pathSeparator)
                .splitAsStream(System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")))
                .filter(entry -> entry.endsWith(".jar"))
                .map(entry -> Path.of(entry).getFileName().toString())
                .filter(jar -> !TEST_JAR.matcher(jar).matches())
                .map(jar -> jar.replaceFirst("-\\d+\\..*", ""))
                .collect(Collectors.toCollection(TreeSet::new));
        assertTrue(jars.contains("pytorch") && jars.size() > 10, () -> "class path not understood: " + jars);
        jars.remove("cuda"); // profile cuda; the notices speak of it apart
        String table = resource("/META-INF/THIRD-PARTY-NOTICES.md").split("\n## ")[1];
        Set<String> named = Pattern.compile("(?m)^\\| `([^`]+)` ")
                .matcher(table)
                .results()
                .map(match -> match.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(jars, named);
    }

    @Test
    void everyLicenceTextThatIsNamedIsThere() throws Exception {
        assertTrue(resource("/META-INF/LICENSE").contains("Apache License"));
        Matcher named = Pattern.compile("`([a-z0-9-]+\\.txt)`").matcher(resource("/META-INF/THIRD-PARTY-NOTICES.md"));
        List<String> texts =
                named.results().map(match -> match.group(1)).distinct().toList();
        assertTrue(texts.contains("pytorch.txt") && texts.contains("onemkl.txt"), texts::toString);
        for (String text : texts) {
            assertTrue(resource("/META-INF/licenses/" + text).length() > 500, text);
        }
    }

    private static String resource(String name) throws Exception {
        try (InputStream in = NoticesTest.class.getResourceAsStream(name)) {
            assertTrue(in != null, name);
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
