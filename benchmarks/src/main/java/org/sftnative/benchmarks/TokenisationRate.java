package org.sftnative.benchmarks;

import java.nio.file.Path;
import java.util.Locale;
import org.sftnative.config.DataSettings;
import org.sftnative.config.EncodingSettings;
import org.sftnative.config.RowSettings;
import org.sftnative.data.Dataset;
import org.sftnative.data.Tokenizer;
import org.sftnative.data.TrainingData;

/// One reading of a file of rows, from its bytes to documents, in a JVM that has just started: what a run does before
/// its first step. No benchmark of JMH's, since those are warm; `scripts/compare-tokenisation` runs it.
public final class TokenisationRate {
    private TokenisationRate() {}

    /// Prints rows, tokens and seconds. The tokenizer is loaded before; nothing comes from the cache.
    ///
    /// @param args model directory, file of rows, maximum length
    public static void main(String[] args) {
        Tokenizer tokenizer = Tokenizer.load(Path.of(args[0]));
        EncodingSettings encoding = EncodingSettings.ofLength(Integer.parseInt(args[2]));
        long began = System.nanoTime();
        Dataset.Report report = TrainingData.load(
                        DataSettings.of(Path.of(args[1])), RowSettings.DEFAULT, encoding, tokenizer)
                .train()
                .report();
        double seconds = (System.nanoTime() - began) / 1e9;
        System.out.printf(Locale.ROOT, "%d %d %.4f%n", report.rows(), report.tokens(), seconds);
    }
}
