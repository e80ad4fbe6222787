package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// What the README names is there, and what is there is named.
class ReadmeTest {
    private final String readme = read();

    @Test
    void everyFileLinkedOrInTheTreeExists() {
        Set<String> paths = found("\\]\\(([^)#:]+)\\)", readme);
        paths.addAll(tree());
        assertTrue(paths.size() > 30, paths::toString);
        paths.forEach(path -> assertTrue(Files.exists(Path.of(path)), path));
    }

    @Test
    void theTreeHasEveryRoomScriptAndFolder() throws IOException {
        Set<String> tree = tree();
        Set<String> there = children(Path.of("src/main/java/org/sftnative"));
        there.removeIf(path -> path.endsWith(".java"));
        there.addAll(children(Path.of("scripts")));
        Set<String> missing = new TreeSet<>(there);
        missing.removeAll(tree);
        assertEquals(Set.of(), missing);
    }

    @Test
    void everyDocumentIsInTheIndex() throws IOException {
        Set<String> missing = children(Path.of("docs"));
        missing.removeAll(found("\\]\\(([^)#:]+)\\)", readme));
        assertEquals(Set.of(), missing);
    }

    @Test
    void theTableHasEveryCommand() {
        Set<String> commands = Commands.build().getSubcommands().entrySet().stream()
                .filter(command ->
                        !command.getValue().getCommandSpec().usageMessage().hidden())
                .map(Map.Entry::getKey)
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(commands, found("(?m)^\\| `([^`]+)` \\|", section("## Use")));
    }

    @Test
    void everyTestNamedExists() throws IOException {
        Set<String> classes;
        try (Stream<Path> files = Files.walk(Path.of("src/test/java"))) {
            classes = files.map(path -> path.getFileName().toString().replace(".java", ""))
                    .collect(Collectors.toSet());
        }
        Set<String> named = found("`([A-Z]\\w+Test)`", readme);
        assertTrue(named.size() >= 6, named::toString);
        named.removeAll(classes);
        assertEquals(Set.of(), named);
    }

    private Set<String> tree() {
        return found("(?m)^\\| `([^`]+)` \\|", section("## The tree"));
    }

    private String section(String heading) {
        return readme.split(Pattern.quote("\n" + heading + "\n"))[1].split("\n## ")[0];
    }

    private static Set<String> found(String pattern, String text) {
        return Pattern.compile(pattern)
                .matcher(text)
                .results()
                .map(match -> match.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static Set<String> children(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.map(path -> path.toString()).collect(Collectors.toCollection(TreeSet::new));
        }
    }

    private static String read() {
        try {
            return Files.readString(Path.of("README.md"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
