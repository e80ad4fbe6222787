package org.sftnative.config;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// How rows are read.
public record RowSettings(
        @Setting(doc = "what the fields of a row mean; auto: as the first rows show", value = "auto")
        FormatChoice format,

        @Setting(doc = "a field's name in the rows, as the format's name = the row's: output=response")
        List<String> field,

        @Setting(doc = "broken rows that are skipped and counted; one more ends the run", value = "0")
        int maxBad,

        @Setting(doc = "keep tokenised files on disk, by the content of all that decides their tokens", value = "true")
        boolean tokenCache,

        @Setting(doc = "where to keep them; default: $XDG_CACHE_HOME/sft-native/tokens, ~/.cache/sft-native/tokens")
        Optional<Path> cacheDir) {
    /// Plain rows: format by detection, no renaming, no bad row; nothing is kept on disk.
    public static final RowSettings DEFAULT = new RowSettings(FormatChoice.AUTO, List.of(), 0);

    public RowSettings {
        field = List.copyOf(field);
        Check.that(maxBad >= 0, "max_bad", maxBad, "0 or more");
    }

    /// Without a cache.
    public RowSettings(FormatChoice format, List<String> field, int maxBad) {
        this(format, field, maxBad, false, Optional.empty());
    }

    /// The same with a cache.
    public RowSettings cachedIn(Path directory) {
        return new RowSettings(format, field, maxBad, true, Optional.of(directory));
    }
}
