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
        LoraSettings lora) {
    public RunSettings {
        boolean adapters = lora.enabled() || !model.adapter().isEmpty();
        if (!adapters && (model.loadIn_4bit() || model.loadIn_8bit())) {
            throw new InputException("a quantised model cannot be trained itself\n  add adapters: --lora-r 16");
        }
    }

    /// A run that trains every weight.
    public RunSettings(
            ModelSettings model,
            DataSettings data,
            RowSettings rows,
            EncodingSettings encoding,
            TrainingSettings training) {
        this(model, data, rows, encoding, training, LoraSettings.NONE);
    }

    /// The run of a settings file, as `train --config` takes it.
    ///
    /// @throws org.sftnative.InputException if the file, or a setting in it, is wrong
    public static RunSettings read(Path yaml) {
        SettingsSchema<RunSettings> schema = SettingsSchema.of(RunSettings.class);
        return schema.bind(schema.resolve(SettingsFile.read(yaml)));
    }
}
