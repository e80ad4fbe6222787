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
        MonitorSettings monitor) {
    public RunSettings {
        if (monitor.earlyStoppingPatience() > 0 && training.evalStrategy() == IntervalStrategy.NO) {
            throw new InputException("early_stopping_patience needs evaluations, eval_strategy is no"
                    + "\n  set eval_strategy to steps or epoch");
        }
    }

    /// The run of a settings file, as `train --config` takes it.
    ///
    /// @throws org.sftnative.InputException if the file, or a setting in it, is wrong
    public static RunSettings read(Path yaml) {
        SettingsSchema<RunSettings> schema = SettingsSchema.of(RunSettings.class);
        return schema.bind(schema.resolve(SettingsFile.read(yaml)));
    }
}
