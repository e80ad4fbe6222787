package org.sftnative.benchmarks;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.data.Document;
import org.sftnative.data.Encoder;
import org.sftnative.data.Example;
import org.sftnative.data.ExampleSource;
import org.sftnative.data.Tokenizer;
import org.sftnative.data.TrainingData;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `data/quickstart.jsonl` with `models/tokenizer`. Read `rowsPerSecond`. Runs in the project's folder.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 3)
@Measurement(iterations = 3, time = 3)
@Fork(
        value = 3,
        jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Xmx2g"})
public class Tokenisation {
    private static final Path ROWS = Path.of("data/quickstart.jsonl");
    private static final int MAX_LENGTH = 512;

    private Tokenizer tokenizer;
    private DataSettings settings;
    private Encoder encoder;
    private List<Example.Completion> examples;
    private List<Example.Conversation> conversations;

    /// Rows made documents.
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rate {
        public long rowsPerSecond;
    }

    @Setup
    public void build() {
        tokenizer = Tokenizer.load(Path.of("models/tokenizer"));
        settings = DataSettings.of(ROWS);
        encoder = new Encoder(tokenizer, EncodingSettings.ofLength(MAX_LENGTH));
        examples = new ArrayList<>();
        try (ExampleSource rows = ExampleSource.open(ROWS, RowSettings.DEFAULT)) {
            rows.forEachRemaining(item -> examples.add((Example.Completion) item.example()));
        }
        conversations = examples.stream()
                .map(e -> new Example.Conversation(
                        List.of(turn("user", e.prompt()), turn("assistant", e.response())), Optional.empty()))
                .toList();
        check();
    }

    private static ObjectNode turn(String role, String content) {
        return JsonNodeFactory.instance.objectNode().put("role", role).put("content", content);
    }

    /// Every row comes back from its tokens as it was, and reading the file gives the same documents; of a conversation
    /// the answer is trained, and nothing else.
    private void check() {
        var documents = TrainingData.load(
                        settings, RowSettings.DEFAULT, EncodingSettings.ofLength(MAX_LENGTH), tokenizer)
                .train()
                .documents();
        if (documents.size() != examples.size()) {
            throw new IllegalStateException(documents.size() + " documents of " + examples.size() + " rows");
        }
        for (int i = 0; i < examples.size(); i++) {
            Example.Completion example = examples.get(i);
            int[] ids = encoder.encode(i + 1, example).document().orElseThrow().inputIds();
            String text = tokenizer.decode(ids, true);
            if (!text.equals(example.prompt() + example.response())) {
                throw new IllegalStateException("row " + (i + 1) + " became: " + text);
            }
            if (!Arrays.equals(ids, documents.get(i).inputIds())) {
                throw new IllegalStateException("row " + (i + 1) + " has other tokens when read from the file");
            }
            Document chat =
                    encoder.encode(i + 1, conversations.get(i)).document().orElseThrow();
            int[] trained = Arrays.stream(chat.labels())
                    .filter(label -> label != Document.IGNORED)
                    .toArray();
            if (!tokenizer.decode(trained, true).equals(example.response())) {
                throw new IllegalStateException("row " + (i + 1) + " trains: " + tokenizer.decode(trained, true));
            }
        }
    }

    /// Rows at hand to documents, on one thread.
    @Benchmark
    public void encode(Rate rate, Blackhole sink) {
        for (int i = 0; i < examples.size(); i++) {
            sink.consume(encoder.encode(i + 1, examples.get(i)));
        }
        rate.rowsPerSecond += examples.size();
    }

    /// The same rows as conversations: the chat template rendered, its text encoded, the answer found in it.
    @Benchmark
    public void conversations(Rate rate, Blackhole sink) {
        for (int i = 0; i < conversations.size(); i++) {
            sink.consume(encoder.encode(i + 1, conversations.get(i)));
        }
        rate.rowsPerSecond += conversations.size();
    }

    /// The file to documents, on all cores: what a run does before its first step.
    @Benchmark
    public TrainingData load(Rate rate) {
        rate.rowsPerSecond += examples.size();
        return TrainingData.load(settings, RowSettings.DEFAULT, EncodingSettings.ofLength(MAX_LENGTH), tokenizer);
    }
}
