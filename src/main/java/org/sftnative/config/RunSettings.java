package org.sftnative.config;

import java.nio.file.Path;

/// Everything that a training run is told: `train`'s flags and the keys of `--config run.yaml`, flattened.
public record RunSettings(
        ModelSettings model,
        DataSettings data,
        RowSettings rows,
        EncodingSettings encoding,
        TrainingSettings training,
        SpikeSettings spikes) {
    /// The run of a settings file, as `train --config` takes it.
    ///
    /// @throws org.sftnative.InputException if the file, or a setting in it, is wrong
    public static RunSettings read(Path yaml) {
        SettingsSchema<RunSettings> schema = SettingsSchema.of(RunSettings.class);
        return schema.bind(schema.resolve(SettingsFile.read(yaml)));
    }
}
