package org.sftnative.cli;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import org.sftnative.InputException;
import org.sftnative.config.BatchSettings;
import org.sftnative.config.GenerateSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.config.SamplingSettings;
import org.sftnative.data.BadRows;
import org.sftnative.data.ChatFormat;
import org.sftnative.data.Question;
import org.sftnative.data.Questions;
import org.sftnative.data.RowFiles;
import org.sftnative.data.RowFormat;
import org.sftnative.data.Tokenizer;
import org.sftnative.data.TurnEnd;
import org.sftnative.generate.Answer;
import org.sftnative.generate.AnswerListener;
import org.sftnative.generate.Answers;
import org.sftnative.generate.BatchGenerator;
import org.sftnative.generate.KvPlan;
import org.sftnative.generate.Request;
import org.sftnative.generate.Sampling;
import org.sftnative.metrics.Units;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Devices;
import org.sftnative.train.LoadedModel;
import org.sftnative.train.ReadyModel;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `generate`: one answer, said as it comes, or those of a file of rows.
final class Generating {
    private static final JsonMapper JSON = new JsonMapper();

    private Generating() {}

    /// One prompt; `text` hears the answer piece by piece.
    static void one(GenerateSettings settings, Consumer<String> text) throws IOException {
        String given = text(settings);
        try (LoadedModel loaded = LoadedModel.open(settings.model());
                ReadyModel ready = loaded.ready()) {
            Tokenizer tokenizer = loaded.tokenizer();
            // a question is asked as training encodes such a row, where the model has a chat template
            ChatFormat format = ChatFormat.of(tokenizer, settings.chatTemplate());
            boolean asked = settings.prompt().isPresent() && format.isPresent();
            int[] prompt = asked ? format.prompt(given) : tokenizer.encodeRow(given, true, false);
            Request request = request(
                    prompt,
                    settings.sampling(),
                    loaded.stopTokens(),
                    asked ? format.turnEnd() : TurnEnd.NONE,
                    settings.sampling().seed());
            int longest = prompt.length + settings.sampling().maxNewTokens();
            try (LlamaDecoder model = ready.decoder();
                    BatchGenerator generator = generator(loaded, model, plan(model, settings.batch(), 1, longest))) {
                generator.submit(request, new AnswerListener() {
                    @Override
                    public void text(String piece) {
                        text.accept(piece);
                    }

                    @Override
                    public void ended(Answer answer) {
                        // all of it was said
                    }

                    @Override
                    public void failed(RuntimeException why) {
                        throw why;
                    }
                });
                while (generator.step()) {
                    // the listener says what comes
                }
            }
        }
    }

    /// Rows; `say` hears the plan and the counts, the answers go to a file.
    static void rows(GenerateSettings settings, Consumer<String> say) throws IOException {
        SamplingSettings sampling = settings.sampling();
        Path output = settings.outputFile().orElseThrow();
        refuseOverwriting(RowFiles.resolve(settings.inputFile()), output);
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            BadRows bad = new BadRows(settings.maxBad());
            int positions = loaded.config().maxPositionEmbeddings();
            List<Question> questions = new Questions(loaded.tokenizer(), settings.chatTemplate())
                    .read(
                            settings.inputFile(),
                            new RowSettings(settings.format(), settings.field(), settings.maxBad()),
                            question ->
                                    fits(question, positions, loaded.config().vocabSize()),
                            bad);
            if (questions.isEmpty()) {
                throw new InputException("'input_file' leaves no row to answer");
            }
            bad.messages().forEach(message -> say.accept("skipped: " + message + "\n"));
            int longest =
                    questions.stream().mapToInt(q -> q.prompt().length).max().orElseThrow() + sampling.maxNewTokens();
            int sequences = settings.numReturnSequences();
            List<Request> requests = new ArrayList<>();
            for (Question question : questions) {
                for (int n = 0; n < sequences; n++) {
                    requests.add(request(
                            question.prompt(),
                            sampling,
                            loaded.stopTokens(),
                            question.end(),
                            sampling.seed() + requests.size()));
                }
            }
            try (ReadyModel ready = loaded.ready();
                    LlamaDecoder model = ready.decoder();
                    BatchGenerator generator =
                            generator(loaded, model, plan(model, settings.batch(), requests.size(), longest));
                    BufferedWriter writer = Files.newBufferedWriter(output)) {
                say.accept(generator.plan() + "\n");
                long began = System.nanoTime();
                long[] tokens = {0, 0};
                Answers.of(generator, requests, (answer, index) -> {
                    Question question = questions.get(index / sequences);
                    tokens[0] += question.prompt().length;
                    tokens[1] += answer.tokens().length;
                    write(
                            writer,
                            line(
                                    question,
                                    answer,
                                    sequences > 1 ? Optional.of(index % sequences) : Optional.empty(),
                                    loaded.tokenizer()));
                });
                double seconds = (System.nanoTime() - began) / 1e9;
                say.accept(String.format(
                        Locale.ROOT,
                        "%d answers to %d rows in %s: %s tokens read, %s written, %s%n",
                        requests.size(),
                        questions.size(),
                        Units.duration(seconds),
                        Units.count(tokens[0]),
                        Units.count(tokens[1]),
                        Units.tokensPerSecond(tokens[1] / seconds)));
            }
            say.accept("answers are in " + output);
        }
    }

    /// Whether a question can be answered; says why not.
    static boolean fits(Question question, int positions, int vocabulary) {
        if (question.prompt().length >= positions) {
            throw new InputException(
                    "the prompt has " + question.prompt().length + " tokens, the model was made for " + positions
                            + "\n  an answer needs one more at least: shorten the prompt, or skip such rows with --max-bad");
        }
        for (int id : question.prompt()) {
            Parameters.checkVocabulary(id, vocabulary);
        }
        return true;
    }

    private static void refuseOverwriting(List<Path> inputs, Path output) throws IOException {
        for (Path input : inputs) {
            if (Files.exists(output) && Files.exists(input) && Files.isSameFile(input, output)) {
                throw new InputException("--output-file " + output + " is one of --input-file\n  name another file");
            }
        }
        Path directory = output.toAbsolutePath().getParent();
        if (!Files.isDirectory(directory) || Files.isDirectory(output)) {
            throw new InputException("cannot write " + output + ": "
                    + (Files.isDirectory(output) ? "it is a directory" : directory + " is no directory")
                    + "\n  --output-file names a file to write");
        }
    }

    private static void write(BufferedWriter writer, ObjectNode line) {
        try {
            writer.write(JSON.writeValueAsString(line));
            writer.newLine();
            writer.flush(); // whoever stops the program keeps what is done
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write answers: " + e.getMessage(), e);
        }
    }

    private static ObjectNode line(Question question, Answer answer, Optional<Integer> sequence, Tokenizer tokenizer) {
        ObjectNode line =
                JSON.createObjectNode().put("file", question.file().toString()).put("row", question.row());
        sequence.ifPresent(n -> line.put("sequence", n));
        line.put("prompt", tokenizer.decode(question.prompt(), false)).put("answer", answer.text());
        question.expected().ifPresent(expected -> line.put("expected", expected));
        return line.put("finish_reason", answer.end() == Answer.End.LENGTH ? "length" : "stop")
                .put("prompt_tokens", question.prompt().length)
                .put("answer_tokens", answer.tokens().length);
    }

    /// What a prompt is asked for, by the settings.
    static Request request(int[] prompt, SamplingSettings s, Set<Integer> stopTokens, TurnEnd end, long seed) {
        Set<Integer> tokens = new HashSet<>(stopTokens);
        tokens.addAll(end.tokens());
        List<String> texts = new ArrayList<>(s.stop());
        end.text().ifPresent(texts::add);
        return new Request(
                prompt,
                new Sampling(s.temperature(), s.topK(), s.topP(), s.repetitionPenalty()),
                s.minNewTokens(),
                s.maxNewTokens(),
                tokens,
                texts,
                seed);
    }

    static BatchGenerator generator(LoadedModel loaded, LlamaDecoder model, KvPlan plan) {
        Function<int[], String> decode = ids -> loaded.tokenizer().decode(ids, true);
        return new BatchGenerator(model, decode, plan);
    }

    /// @param texts how many there are
    /// @param longest tokens of the longest, its answer included
    static KvPlan plan(LlamaDecoder model, BatchSettings batch, int texts, int longest) {
        long bytes =
                batch.kvMemory() > 0 ? (long) (batch.kvMemory() * (1L << 30)) : Devices.freeBytes(model.device()) / 2;
        return KvPlan.of(model, bytes, Math.min(texts, batch.generationBatchSize()), longest);
    }

    private static String text(GenerateSettings settings) throws IOException {
        if (settings.instruction().isPresent()) {
            return RowFormat.Alpaca.prompt(
                    settings.instruction().get(), settings.input().orElse(""));
        }
        if (settings.prompt().isPresent()) {
            return settings.prompt().get();
        }
        Path file = settings.promptFile().orElseThrow();
        try {
            return Files.readString(file);
        } catch (NoSuchFileException e) {
            throw new InputException(file + " does not exist\n  --prompt-file names a text file", e);
        }
    }
}
