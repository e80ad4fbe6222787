package org.sftnative.config;

/// Everything that a training run is told: `train`'s flags and the keys of `--config run.yaml`, flattened.
public record RunSettings(ModelSettings model, DataSettings data, TrainingSettings training) {}
