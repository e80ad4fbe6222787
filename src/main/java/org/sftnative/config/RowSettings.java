package org.sftnative.config;

import java.util.List;

/// How rows are read.
public record RowSettings(
        @Setting(doc = "what the fields of a row mean; auto: as the first rows show", value = "auto")
        FormatChoice format,

        @Setting(doc = "a field's name in the rows, as the format's name = the row's: output=response")
        List<String> field,

        @Setting(doc = "broken rows that are skipped and counted; one more ends the run", value = "0")
        int maxBad) {
    /// Plain rows: format by detection, no renaming, no bad row.
    public static final RowSettings DEFAULT = new RowSettings(FormatChoice.AUTO, List.of(), 0);

    public RowSettings {
        field = List.copyOf(field);
        Check.that(maxBad >= 0, "max_bad", maxBad, "0 or more");
    }
}
