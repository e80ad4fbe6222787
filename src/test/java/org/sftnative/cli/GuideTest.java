package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.io.HubSettings;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.support.HubServer;
import tools.jackson.databind.json.JsonMapper;

/// docs/GUIDE.md: its commands run, its settings exist, its numbers are `info`'s.
class GuideTest {
    private static final Pattern BLOCK = Pattern.compile("```sh\n(.*?)```", Pattern.DOTALL);
    private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|(\\S+)");
    private static final String ID = "my-org/my-model";
    /// Commands that compute with libtorch.
    private static final Set<String> COMPUTING = Set.of("train", "eval", "generate", "merge");

    private final String guide = read();

    @TempDir
    Path directory;

    private static String read() {
        try {
            return Files.readString(Path.of("docs/GUIDE.md"));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void everyCommandRuns() throws IOException {
        List<String> commands = BLOCK.matcher(guide)
                .results()
                .flatMap(block -> block.group(1).lines())
                .filter(line -> !line.isBlank())
                .toList();
        assertTrue(commands.size() >= 15, commands::toString);
        Map<String, Path> given = Map.of(
                "rows.jsonl", rows("rows.jsonl", 0, 24),
                "general.jsonl", rows("general.jsonl", 24, 32),
                "held-out.jsonl", rows("held-out.jsonl", 32, 36));
        try (HubServer hub = new HubServer(ID, Program.BASE)) {
            for (String command : commands) {
                assertTrue(command.startsWith("sft-native "), command);
                List<String> args = new ArrayList<>();
                Matcher words = WORD.matcher(command.substring("sft-native ".length()));
                while (words.find()) {
                    args.add(words.group(1) != null ? words.group(1) : placed(args, words.group(2), given));
                }
                if (COMPUTING.contains(args.getFirst())) {
                    args.addAll(List.of("--threads", "1"));
                }
                run(hub, args);
            }
            assertEquals(1, hub.fetches("model.safetensors"));
        }
        assertTrue(Files.size(directory.resolve("model.gguf")) > 100_000);
    }

    /// A name of the guide in the test's own directory; options and their plain values stay.
    private String placed(List<String> before, String word, Map<String, Path> given) {
        String file = word.replaceFirst("=0\\.\\d+$", "");
        if (given.containsKey(file)) {
            return given.get(file) + word.substring(file.length());
        }
        Set<String> naming = Set.of("--model", "--output-dir", "--output-file", "--adapter", "--compare");
        boolean named = naming.contains(before.isEmpty() ? "" : before.getLast())
                || before.size() > 1 && before.get(before.size() - 2).equals("--compare");
        return named && !word.contains("/") ? directory.resolve(word).toString() : word;
    }

    private void run(HubServer hub, List<String> args) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        PrintStream to = new PrintStream(text, true, StandardCharsets.UTF_8);
        int status = new CommandLineProgram(
                        new Rooms(),
                        to,
                        to,
                        false,
                        Optional.empty(),
                        () -> new HubSettings(
                                URI.create(hub.endpoint()),
                                directory.resolve("cache"),
                                Optional.empty(),
                                false,
                                Duration.ofSeconds(10),
                                Duration.ofMillis(1)))
                .run(args.toArray(String[]::new));
        assertEquals(0, status, () -> args + "\n" + text.toString(StandardCharsets.UTF_8));
    }

    private Path rows(String name, int from, int to) throws IOException {
        List<String> lines =
                Files.readAllLines(Path.of("data/quickstart.jsonl")).subList(from, to);
        return Files.write(directory.resolve(name), lines);
    }

    @Test
    void everyFlagIsAnOptionOfACommand() {
        Set<String> known = Commands.build().getSubcommands().values().stream()
                .flatMap(command -> command.getCommandSpec().options().stream())
                .flatMap(option -> List.of(option.names()).stream())
                .collect(Collectors.toSet());
        Set<String> named = Pattern.compile("--[a-z][a-z0-9-]*")
                .matcher(guide)
                .results()
                .map(match -> match.group())
                .collect(Collectors.toCollection(TreeSet::new));
        assertTrue(named.size() > 25, named::toString);
        named.removeAll(known);
        assertEquals(Set.of(), named);
    }

    @Test
    void theTableIsWhatInfoSays() {
        String head = "{\"model_type\":\"llama\",\"hidden_size\":";
        Map<String, String> shapes = Map.of(
                "0.5B (Qwen2.5)",
                "{\"model_type\":\"qwen2\",\"hidden_size\":896,\"intermediate_size\":4864,\"num_hidden_layers\":24,"
                        + "\"num_attention_heads\":14,\"num_key_value_heads\":2,\"vocab_size\":151936,"
                        + "\"tie_word_embeddings\":true}",
                "1.1B (TinyLlama)",
                head + "2048,\"intermediate_size\":5632,\"num_hidden_layers\":22,\"num_attention_heads\":32,"
                        + "\"num_key_value_heads\":4,\"vocab_size\":32000}",
                "3.2B (Llama 3.2)",
                head + "3072,\"intermediate_size\":8192,\"num_hidden_layers\":28,\"num_attention_heads\":24,"
                        + "\"num_key_value_heads\":8,\"head_dim\":128,\"vocab_size\":128256,"
                        + "\"tie_word_embeddings\":true}",
                "6.7B (Llama 2)",
                head + "4096,\"intermediate_size\":11008,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
                        + "\"vocab_size\":32000}",
                "8.0B (Llama 3.1)",
                head + "4096,\"intermediate_size\":14336,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
                        + "\"num_key_value_heads\":8,\"vocab_size\":128256}");
        shapes.forEach((model, json) -> {
            LlamaConfig config = LlamaConfig.of(JsonMapper.shared().readTree(json));
            String row = MemoryEstimate.of(config, 4096).stream()
                    .map(m -> String.format(Locale.ROOT, "%.1f", (m.fixed() + m.recomputed()) / (double) (1L << 30)))
                    .collect(Collectors.joining(" | ", "| " + model + " | ", " |"));
            assertTrue(guide.contains(row), () -> "docs/GUIDE.md lacks the row\n" + row);
        });
        String modes =
                MemoryEstimate.of(LlamaConfig.of(JsonMapper.shared().readTree(shapes.get("6.7B (Llama 2)"))), 4096)
                        .stream()
                        .map(MemoryEstimate::mode)
                        .collect(Collectors.joining(" | ", "| model | ", " |"));
        assertTrue(guide.contains(modes), modes);
    }
}
