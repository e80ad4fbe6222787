package org.sftnative.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.sftnative.InputException;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EvalSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.data.BadRows;
import org.sftnative.data.Dataset;
import org.sftnative.data.Document;
import org.sftnative.data.Question;
import org.sftnative.data.Questions;
import org.sftnative.data.StepPlan;
import org.sftnative.data.TrainingData;
import org.sftnative.generate.Answer;
import org.sftnative.generate.AnswerMatch;
import org.sftnative.generate.AnswerScore;
import org.sftnative.generate.Answers;
import org.sftnative.generate.BatchGenerator;
import org.sftnative.generate.Request;
import org.sftnative.generate.TokenScores;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.train.LoadedModel;
import org.sftnative.train.ReadyModel;

/// What one model makes of some data sets.
///
/// @param sets in the order of the settings
/// @param seconds of scoring, without loading
record Evaluation(Path model, List<Set> sets, double seconds) {
    private static final int DEFAULT_MICRO_BATCH_TOKENS = 4096;
    private static final int SHORTEST = 64;

    /// One data set.
    ///
    /// @param name as it was given
    /// @param rows in the order of the files
    /// @param answers what generated answers are worth, if there are any
    record Set(String name, List<Row> rows, Optional<AnswerScore.Total> answers) {}

    /// One row.
    ///
    /// @param where its file and number
    /// @param tokens its length
    /// @param loss of its label tokens, summed
    /// @param answer the model's, if it was asked
    /// @param expected the row's
    record Row(
            String where,
            int tokens,
            double loss,
            int hits,
            int labelTokens,
            Optional<String> answer,
            Optional<String> expected) {
        /// Mean loss of a label token.
        double meanLoss() {
            return loss / labelTokens;
        }
    }

    /// Rows in numbers.
    ///
    /// @param loss summed loss / label tokens
    /// @param accuracy part of the label tokens that are the likeliest
    record Numbers(double loss, double accuracy, long labelTokens, long rows) {
        static Numbers of(List<Row> rows) {
            long tokens = rows.stream().mapToLong(Row::labelTokens).sum();
            return new Numbers(
                    rows.stream().mapToDouble(Row::loss).sum() / tokens,
                    rows.stream().mapToLong(Row::hits).sum() / (double) tokens,
                    tokens,
                    rows.size());
        }

        double perplexity() {
            return Math.exp(loss);
        }
    }

    List<Row> rows() {
        return sets.stream().flatMap(set -> set.rows.stream()).toList();
    }

    /// Rows by their length: up to 64 tokens, 128, 256 and so on; only what there is.
    static Map<Integer, List<Row>> byLength(List<Row> rows) {
        Map<Integer, List<Row>> buckets = new TreeMap<>();
        for (Row row : rows) {
            int most = SHORTEST;
            while (most < row.tokens()) {
                most *= 2;
            }
            buckets.computeIfAbsent(most, _ -> new ArrayList<>()).add(row);
        }
        return buckets;
    }

    /// Scores the data sets of the settings with one model.
    ///
    /// @param say hears which rows were skipped, and the plan of what is generated
    /// @throws InputException if rows are broken, or cannot be asked
    static Evaluation of(EvalSettings settings, Consumer<String> say) {
        AnswerMatch match = new AnswerMatch(settings.answerRegex());
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            List<Dataset> data = new ArrayList<>();
            List<List<Question>> questions = new ArrayList<>();
            for (Path file : settings.evalFile()) { // all rows are read before weights are
                TrainingData read = TrainingData.load(
                        DataSettings.of(file).unshuffled(), settings.rows(), settings.encoding(), loaded.tokenizer());
                read.bad().forEach(message -> say.accept("skipped: " + message + "\n"));
                Dataset rows = read.train();
                rows.checkVocabulary(loaded.config().vocabSize());
                data.add(rows);
                questions.add(settings.generate() ? questions(file, settings, loaded) : List.of());
            }
            try (ReadyModel ready = loaded.ready()) {
                long began = System.nanoTime();
                List<List<Answer>> answers =
                        settings.generate() ? answers(questions, settings, loaded, ready, say) : List.of();
                List<Set> sets = new ArrayList<>();
                try (CausalLm model = ready.llama()) {
                    for (int i = 0; i < data.size(); i++) {
                        Map<String, Asked> asked =
                                settings.generate() ? asked(questions.get(i), answers.get(i)) : Map.of();
                        sets.add(set(settings, settings.evalFile().get(i), data.get(i), model, asked, match));
                    }
                }
                return new Evaluation(settings.model().modelNameOrPath(), sets, (System.nanoTime() - began) / 1e9);
            }
        }
    }

    private record Asked(String answer, String expected) {}

    private static Map<String, Asked> asked(List<Question> questions, List<Answer> answers) {
        Map<String, Asked> asked = new LinkedHashMap<>();
        for (int i = 0; i < questions.size(); i++) {
            asked.put(
                    questions.get(i).where(),
                    new Asked(answers.get(i).text(), questions.get(i).expected().orElseThrow()));
        }
        return asked;
    }

    private static Set set(
            EvalSettings settings,
            Path file,
            Dataset data,
            CausalLm model,
            Map<String, Asked> asked,
            AnswerMatch match) {
        int tokens = settings.microBatchTokens() > 0 ? settings.microBatchTokens() : DEFAULT_MICRO_BATCH_TOKENS;
        List<Document> documents = data.documents();
        TokenScores.Score[] scores = TokenScores.of(model, StepPlan.evaluation(data, tokens), documents);
        List<Row> rows = new ArrayList<>();
        for (int d = 0; d < scores.length; d++) {
            Optional<Asked> own = Optional.ofNullable(asked.get(data.where(d)));
            rows.add(new Row(
                    data.where(d),
                    documents.get(d).length(),
                    scores[d].lossSum(),
                    scores[d].hits(),
                    scores[d].labelTokens(),
                    own.map(Asked::answer),
                    own.map(Asked::expected)));
        }
        if (!settings.generate()) {
            return new Set(file.toString(), rows, Optional.empty());
        }
        AnswerScore score = new AnswerScore(match, settings.bleuTokenize().equals("zh"));
        asked.values().forEach(a -> score.add(a.answer(), a.expected()));
        return new Set(file.toString(), rows, Optional.of(score.total()));
    }

    /// The questions of a data set that have an expected answer, cut rows too: they are asked whole.
    private static List<Question> questions(Path file, EvalSettings settings, LoadedModel loaded) {
        RowSettings rows = settings.rows();
        int positions = loaded.config().maxPositionEmbeddings();
        List<Question> questions = new Questions(
                        loaded.tokenizer(), settings.encoding().chatTemplate())
                .read(
                        List.of(file),
                        rows,
                        question -> question.expected().isPresent()
                                && Generating.fits(
                                        question, positions, loaded.config().vocabSize()),
                        new BadRows(rows.maxBad()));
        if (questions.isEmpty()) {
            throw new InputException(file + " has no row with a question and an answer\n  --generate needs some: leave"
                    + " it out, or give other rows");
        }
        return questions;
    }

    private static List<List<Answer>> answers(
            List<List<Question>> questions,
            EvalSettings settings,
            LoadedModel loaded,
            ReadyModel ready,
            Consumer<String> say) {
        List<Question> all = questions.stream().flatMap(List::stream).toList();
        List<Request> requests = new ArrayList<>();
        for (Question q : all) {
            long seed = settings.sampling().seed() + requests.size();
            requests.add(Generating.request(q.prompt(), settings.sampling(), loaded.stopTokens(), q.end(), seed));
        }
        int longest = all.stream().mapToInt(q -> q.prompt().length).max().orElseThrow()
                + settings.sampling().maxNewTokens();
        List<Answer> answers;
        try (LlamaDecoder model = ready.decoder();
                BatchGenerator generator = Generating.generator(
                        loaded, model, Generating.plan(model, settings.batch(), all.size(), longest))) {
            say.accept(generator.plan() + "\n");
            answers = Answers.of(generator, requests);
        }
        List<List<Answer>> bySet = new ArrayList<>();
        int at = 0;
        for (List<Question> set : questions) {
            bySet.add(answers.subList(at, at + set.size()));
            at += set.size();
        }
        return bySet;
    }
}
