package org.sftnative.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.sftnative.config.EvalSettings;
import org.sftnative.config.ExportSettings;
import org.sftnative.config.GenerateSettings;
import org.sftnative.config.InfoSettings;
import org.sftnative.config.InitSettings;
import org.sftnative.config.MergeSettings;
import org.sftnative.config.ReportSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.config.RunSettings;
import org.sftnative.data.DataReport;
import org.sftnative.data.StepPlan;
import org.sftnative.data.StepShape;
import org.sftnative.data.Tokenizer;
import org.sftnative.data.TrainingData;
import org.sftnative.dist.World;
import org.sftnative.io.ModelDirectory;
import org.sftnative.metrics.RunListener;
import org.sftnative.metrics.Units;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.model.ParameterLayout;
import org.sftnative.train.Checkpoints;
import org.sftnative.train.FreshModel;
import org.sftnative.train.GgufExport;
import org.sftnative.train.Merge;
import org.sftnative.train.Recipe;
import org.sftnative.train.RunControl;
import org.sftnative.train.Training;

/// The work, done by the rooms.
final class Rooms implements Work {
    private static final int DEFAULT_MICRO_BATCH_TOKENS = 4096;

    @Override
    public void train(RunSettings settings, List<RunListener> listeners, RunControl requests, World world) {
        Training.run(settings, Recipe.STANDARD, listeners, requests, world);
    }

    @Override
    public List<String> checkpoints(Path output) {
        return Checkpoints.described(output);
    }

    @Override
    public void eval(EvalSettings settings, Consumer<String> text) {
        if (settings.compare().isEmpty()) {
            EvalText.of(Evaluation.of(settings, text), settings, text);
        } else {
            Path model = settings.compare().getFirst();
            Path other = settings.compare().getLast();
            boolean adapter = Files.exists(other.resolve("adapter_config.json"));
            Evaluation base = Evaluation.of(settings.of(model), text);
            Evaluation tuned = Evaluation.of(adapter ? settings.of(model, other) : settings.of(other), text);
            EvalText.compared(base, tuned, settings, text);
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
        if (settings.inputFile().isEmpty()) {
            Generating.one(settings, text);
        } else {
            Generating.rows(settings, text);
        }
    }

    @Override
    public String merge(MergeSettings settings) {
        return Merge.run(settings);
    }

    @Override
    public String export(ExportSettings settings) {
        return GgufExport.run(settings);
    }

    @Override
    public String init(InitSettings settings) {
        return FreshModel.create(settings);
    }

    @Override
    public String info(InfoSettings settings) {
        try (ModelDirectory directory = ModelDirectory.open(settings.modelNameOrPath())) {
            LlamaConfig c = LlamaConfig.of(directory.config());
            StringBuilder text = new StringBuilder();
            text.append(c.modelType() + ", "
                    + Units.count(ParameterLayout.of(c).parameterCount()) + " parameters, stored as "
                    + directory.storedDtype().hfName() + "\n");
            text.append(c.nLayer() + " layers, hidden " + c.hiddenSize() + ", ffn " + c.intermediateSize() + ", "
                    + c.nHead() + " heads on " + c.nKvHead() + " of " + c.headDim() + ", vocabulary " + c.vocabSize()
                    + ", " + c.maxPositionEmbeddings() + " positions" + (c.tieWordEmbeddings() ? ", tied head" : "")
                    + "\n\n");
            text.append("What training takes" + ranks(settings)
                    + ", 4096 tokens at a time, besides the JVM and libtorch (about 0.4 GiB):\n");
            text.append(
                    "  precision             weights+gradients  optimizer  activations  checkpointed  offloaded  total\n");
            for (MemoryEstimate m :
                    MemoryEstimate.of(c, DEFAULT_MICRO_BATCH_TOKENS, settings.sharding(), settings.ranks())) {
                text.append(String.format(
                        "  %-21s %-18s %-10s %-12s %-13s %-10s %s%n",
                        m.mode(),
                        Units.bytes(m.weights() + m.gradients()),
                        Units.bytes(m.optimizer()),
                        Units.bytes(m.kept()),
                        Units.bytes(m.recomputed()),
                        Units.bytes(m.offloaded()),
                        Units.bytes(m.fixed() + m.kept())));
            }
            return text.toString();
        }
    }

    private static String ranks(InfoSettings settings) {
        return settings.ranks() == 1
                ? ""
                : " on each of " + settings.ranks() + " ranks with sharding " + settings.sharding();
    }
}
