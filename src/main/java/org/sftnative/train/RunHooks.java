package org.sftnative.train;

import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.data.StepPlan;
import org.sftnative.io.ModelWriter;
import org.sftnative.metrics.RunEvent;
import org.sftnative.model.CausalLm;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.LossFunction;
import org.sftnative.optim.AdamWOptimizer;

/// What a run does between steps: it scores the evaluation rows and writes checkpoints.
///
/// @param chatTemplate what is saved with the model instead of its own
record RunHooks(
        LoadedModel loaded,
        CausalLm model,
        LossFunction loss,
        AdamWOptimizer optimizer,
        Checkpoints checkpoints,
        StepPlan plan,
        Optional<Evaluator> evaluator,
        Optional<String> chatTemplate)
        implements TrainLoop.Hooks {
    @Override
    public boolean evaluates() {
        return evaluator.isPresent();
    }

    @Override
    public RunEvent.Evaluated evaluate(long step, double epoch) {
        Evaluator.Score score = evaluator.orElseThrow().score(model, loss);
        return new RunEvent.Evaluated(step, epoch, score.loss(), score.labelTokens(), score.seconds());
    }

    @Override
    public RunEvent.Saved save(RunState state) {
        long began = System.nanoTime();
        Path directory = checkpoints.save(state, plan.epochAt(state.step()), optimizer, this::saveModel);
        return new RunEvent.Saved(state.step(), directory, (System.nanoTime() - began) / 1e9);
    }

    /// Writes the model as a directory that can be used, in the dtype that it was trained in.
    void saveModel(Path directory) {
        ModelWriter.save(
                directory,
                loaded.configJson(),
                loaded.dtype(),
                LlamaFiles.sources(model.parameters(), loaded.dtype()),
                Optional.of(loaded.path()));
        chatTemplate.ifPresent(template -> ModelWriter.saveChatTemplate(directory, template));
    }
}
