package org.sftnative.config;

import java.nio.file.Path;
import java.util.Optional;
import org.sftnative.InputException;

/// What `data` is told. A setting that `train` has too means the same here, with the same default.
public record ReportSettings(
        @Setting(
                doc = "directory of the model, or of its tokenizer alone; or org/name on the Hub",
                aliases = "model",
                required = true)
        Path modelNameOrPath,

        @Setting(doc = "write the report as a page too: FILE.html")
        Optional<Path> html,

        @Setting(
                doc = "only check the rows: the first broken one, or one more than max_bad, exits with 2",
                value = "false")
        boolean validate,

        DataSettings data,
        RowSettings rows,
        EncodingSettings encoding,

        @Setting(doc = "rows of a batch", value = "4", aliases = "batch_size")
        int perDeviceTrainBatchSize,

        @Setting(doc = "batches of a step: a step is batch x accumulation rows", value = "4")
        int gradientAccumulationSteps,

        @Setting(doc = "seed of the order of rows", value = "42")
        long seed) {
    public ReportSettings {
        Check.that(perDeviceTrainBatchSize >= 1, "per_device_train_batch_size", perDeviceTrainBatchSize, "1 or more");
        Check.that(
                gradientAccumulationSteps >= 1, "gradient_accumulation_steps", gradientAccumulationSteps, "1 or more");
        if (html.isPresent() && !html.get().toString().matches("(?i).*\\.html?")) { // rows.json would be overwritten
            throw new InputException(
                    "setting 'html' is " + html.get() + ", must be a file that ends in .html: --html report.html");
        }
    }

    /// Rows of an optimizer step.
    public int rowsPerStep() {
        return Math.multiplyExact(perDeviceTrainBatchSize, gradientAccumulationSteps);
    }
}
