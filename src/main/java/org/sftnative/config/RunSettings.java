package org.sftnative.config;

import java.nio.file.Path;
import org.sftnative.InputException;

/// Everything that a training run is told: `train`'s flags and the keys of `--config run.yaml`, flattened.
public record RunSettings(
        ModelSettings model,
        DataSettings data,
        RowSettings rows,
        EncodingSettings encoding,
        TrainingSettings training,
        LoraSettings lora,
        SpikeSettings spikes,
        MonitorSettings monitor,
        DistSettings dist) {
    public RunSettings {
        boolean adapters = lora.enabled() || !model.adapter().isEmpty();
        if (model.adapter().size() > 1) {
            throw new InputException(
                    "train goes on with one adapter, " + model.adapter().size() + " are given"
                            + "\n  merge the others into the model first: sft-native merge");
        }
        if (lora.enabled() && !model.adapter().isEmpty()) {
            throw new InputException("lora_r asks for fresh adapters, adapter for those of "
                    + model.adapter().getFirst() + "\n  keep one of them: an adapter has its own rank and modules");
        }
        String unused = lora.unused(adapters);
        if (!unused.isEmpty()) {
            throw new InputException("setting '" + unused + "' is of adapters, "
                    + (adapters ? "and the adapter has its own" : "and every weight is trained: none are asked for")
                    + "\n  leave it out, or ask for fresh adapters: --lora-r 16");
        }
        boolean pissa = lora.enabled() && lora.initLoraWeights() == LoraInit.PISSA;
        if (pissa && (model.loadIn_4bit() || model.loadIn_8bit())) {
            throw new InputException("init_lora_weights pissa changes the base, which is quantised as it is read"
                    + "\n  leave one of them out");
        }
        if (adapters && training.masters() != MasterChoice.SPLIT) {
            throw new InputException("masters '" + training.masters() + "' is of a model that is trained itself"
                    + "\n  leave it out: adapters are kept in fp32");
        }
        if (!adapters && (model.loadIn_4bit() || model.loadIn_8bit())) {
            throw new InputException("a quantised model cannot be trained itself\n  add adapters: --lora-r 16");
        }
        if (dist.sharding().sharesWeights() && (model.loadIn_4bit() || model.loadIn_8bit())) {
            String packed = model.loadIn_4bit() ? "load_in_4bit" : "load_in_8bit";
            throw new InputException("sharding zero3 shares out weights as they are, and " + packed + " packs them"
                    + "\n  use --sharding zero1, where every rank holds the packed weights, or leave out " + packed);
        }
        if (monitor.earlyStoppingPatience() > 0 && training.evalStrategy() == IntervalStrategy.NO) {
            throw new InputException("early_stopping_patience needs evaluations, eval_strategy is no"
                    + "\n  set eval_strategy to steps or epoch");
        }
    }

    /// A run that trains every weight and watches nothing.
    public RunSettings(
            ModelSettings model,
            DataSettings data,
            RowSettings rows,
            EncodingSettings encoding,
            TrainingSettings training) {
        this(
                model,
                data,
                rows,
                encoding,
                training,
                LoraSettings.NONE,
                SpikeSettings.OFF,
                MonitorSettings.NONE,
                DistSettings.DEFAULT);
    }

    /// The same run of another model, or of this one elsewhere.
    public RunSettings with(ModelSettings other) {
        return new RunSettings(other, data, rows, encoding, training, lora, spikes, monitor, dist);
    }

    /// The run of a settings file, as `train --config` takes it.
    ///
    /// @throws org.sftnative.InputException if the file, or a setting in it, is wrong
    public static RunSettings read(Path yaml) {
        SettingsSchema<RunSettings> schema = SettingsSchema.of(RunSettings.class);
        return schema.bind(schema.resolve(SettingsFile.read(yaml)));
    }
}
