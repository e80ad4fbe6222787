package org.sftnative.cli;

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
import org.sftnative.config.RunSettings;
import org.sftnative.data.DataReport;
import org.sftnative.dist.World;
import org.sftnative.metrics.RunListener;
import org.sftnative.train.RunControl;

/// What the commands call: the command line parses and prints, the rooms behind this do the work. Every method may
/// throw `InputException` for what the user got wrong; everything else is a failure of the program or the machine.
public interface Work {
    /// Trains, telling the listeners; they stay open, whoever made them closes them.
    ///
    /// @param requests asks the run to stop
    /// @param world the ranks that train together
    void train(RunSettings settings, List<RunListener> listeners, RunControl requests, World world) throws Exception;

    /// Scores rows; `text` gets the report.
    void eval(EvalSettings settings, Consumer<String> text) throws Exception;

    /// Reads and tokenises rows as a run would, and says what they are.
    DataReport data(ReportSettings settings) throws Exception;

    /// Generates one answer; `text` gets it piece by piece, as it comes.
    void generate(GenerateSettings settings, Consumer<String> text) throws Exception;

    /// Makes a model with random weights; returns what it is in one line.
    String init(InitSettings settings) throws Exception;

    /// Folds adapters into a model; returns what was done in lines.
    String merge(MergeSettings settings) throws Exception;

    /// The checkpoints of a run's output directory, verified: a line each.
    List<String> checkpoints(Path output) throws Exception;

    /// Writes a model as one file; returns what it is in lines.
    String export(ExportSettings settings) throws Exception;

    /// What is known of a model directory, without loading its weights: lines of text.
    String info(InfoSettings settings) throws Exception;
}
