package org.sftnative.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.sftnative.InputException;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EvalSettings;
import org.sftnative.config.GenerateSettings;
import org.sftnative.config.InitSettings;
import org.sftnative.config.MergeSettings;
import org.sftnative.config.ReportSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.data.ChatFormat;
import org.sftnative.data.DataReport;
import org.sftnative.data.Dataset;
import org.sftnative.data.RowFormat;
import org.sftnative.data.StepPlan;
import org.sftnative.data.StepShape;
import org.sftnative.data.Tokenizer;
import org.sftnative.data.TrainingData;
import org.sftnative.data.TurnEnd;
import org.sftnative.generate.Generator;
import org.sftnative.generate.Sampling;
import org.sftnative.generate.TextStream;
import org.sftnative.io.ModelDirectory;
import org.sftnative.metrics.RunListener;
import org.sftnative.metrics.Units;
import org.sftnative.model.CrossEntropy;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.model.ParameterLayout;
import org.sftnative.train.Checkpoints;
import org.sftnative.train.Evaluator;
import org.sftnative.train.FreshModel;
import org.sftnative.train.LoadedModel;
import org.sftnative.train.Merge;
import org.sftnative.train.ReadyModel;
import org.sftnative.train.Recipe;
import org.sftnative.train.RunControl;
import org.sftnative.train.Training;

/// The work, done by the rooms.
final class Rooms implements Work {
    private static final int DEFAULT_MICRO_BATCH_TOKENS = 4096;

    @Override
    public void train(RunSettings settings, List<RunListener> listeners, RunControl requests) {
        Training.run(settings, Recipe.STANDARD, listeners, requests);
    }

    @Override
    public List<String> checkpoints(Path output) {
        return Checkpoints.described(output);
    }

    @Override
    public Score eval(EvalSettings settings) {
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            DataSettings data =
                    DataSettings.of(settings.evalFile().toArray(Path[]::new)).unshuffled();
            Dataset rows = TrainingData.load(data, settings.rows(), settings.encoding(), loaded.tokenizer())
                    .train();
            rows.checkVocabulary(loaded.config().vocabSize());
            int tokens = settings.microBatchTokens() > 0 ? settings.microBatchTokens() : DEFAULT_MICRO_BATCH_TOKENS;
            try (ReadyModel model = loaded.ready()) {
                Evaluator evaluator = new Evaluator(StepPlan.evaluation(rows, tokens));
                Evaluator.Score score = evaluator.score(model.llama(), new CrossEntropy());
                return new Score(
                        score.loss(), score.labelTokens(), rows.documents().size(), score.seconds());
            }
        }
    }

    @Override
    public DataReport data(ReportSettings settings) {
        Tokenizer tokenizer = Tokenizer.load(settings.modelNameOrPath());
        RowSettings rows = settings.rows();
        if (!settings.validate()) { // a report lists what is broken
            rows = new RowSettings(rows.format(), rows.field(), Integer.MAX_VALUE, rows.tokenCache(), rows.cacheDir());
        }
        TrainingData data = TrainingData.load(settings.data(), rows, settings.encoding(), tokenizer);
        int maxLength = settings.encoding().maxLength();
        StepShape shape = StepShape.of(settings.data(), maxLength, settings.rowsPerStep());
        StepPlan plan = StepPlan.of(data.train(), settings.data(), shape, maxLength, settings.seed());
        return DataReport.of(data, tokenizer, maxLength, plan);
    }

    @Override
    public void generate(GenerateSettings settings, Consumer<String> text) throws IOException {
        String given = text(settings);
        try (LoadedModel loaded = LoadedModel.open(settings.model());
                ReadyModel model = loaded.ready()) {
            Tokenizer tokenizer = loaded.tokenizer();
            Set<Integer> stops = new HashSet<>(loaded.config().eosTokenIds());
            tokenizer.eosId().ifPresent(stops::add);
            // a question is asked as training encodes such a row, where the model has a chat template
            ChatFormat format = ChatFormat.of(tokenizer, Optional.empty());
            boolean asked = settings.prompt().isPresent() && format.isPresent();
            TurnEnd end = asked ? format.turnEnd() : TurnEnd.NONE;
            stops.addAll(end.tokens());
            Generator generator = new Generator(model.llama(), stops);
            TextStream stream = new TextStream(ids -> tokenizer.decode(ids, true), end.text(), text);
            generator.generate(
                    asked ? format.prompt(given) : tokenizer.encodeRow(given, true, false),
                    settings.maxNewTokens(),
                    new Sampling(settings.temperature(), settings.topP(), settings.seed()),
                    stream);
            stream.end();
        }
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

    @Override
    public String merge(MergeSettings settings) {
        return Merge.run(settings);
    }

    @Override
    public String init(InitSettings settings) {
        return FreshModel.create(settings);
    }

    @Override
    public String info(Path model) {
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            LlamaConfig c = LlamaConfig.of(directory.config());
            StringBuilder text = new StringBuilder();
            text.append(c.modelType() + ", "
                    + Units.count(ParameterLayout.of(c).parameterCount()) + " parameters, stored as "
                    + directory.storedDtype().hfName() + "\n");
            text.append(c.nLayer() + " layers, hidden " + c.hiddenSize() + ", ffn " + c.intermediateSize() + ", "
                    + c.nHead() + " heads on " + c.nKvHead() + " of " + c.headDim() + ", vocabulary " + c.vocabSize()
                    + ", " + c.maxPositionEmbeddings() + " positions" + (c.tieWordEmbeddings() ? ", tied head" : "")
                    + "\n\n");
            text.append("What training takes, 4096 tokens at a time, besides the JVM and libtorch (about 0.4 GiB):\n");
            text.append("  precision             weights+gradients  optimizer  activations  checkpointed  total\n");
            for (MemoryEstimate m : MemoryEstimate.of(c, DEFAULT_MICRO_BATCH_TOKENS)) {
                text.append(String.format(
                        "  %-21s %-18s %-10s %-12s %-13s %s%n",
                        m.mode(),
                        Units.bytes(m.weights() + m.gradients()),
                        Units.bytes(m.optimizer()),
                        Units.bytes(m.kept()),
                        Units.bytes(m.recomputed()),
                        Units.bytes(m.fixed() + m.kept())));
            }
            return text.toString();
        }
    }
}
