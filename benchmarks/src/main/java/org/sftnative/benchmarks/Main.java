package org.sftnative.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// JMH's own command line, with two things always on: a benchmark that fails ends the run with a non-zero status, and
/// peak memory is measured.
public final class Main {
    private Main() {}

    /// @param args those of JMH; `-h` lists them
    public static void main(String[] args) throws IOException {
        List<String> all = new ArrayList<>(List.of("-foe", "true", "-prof", PeakBytes.class.getName()));
        all.addAll(List.of(args));
        org.openjdk.jmh.Main.main(all.toArray(String[]::new));
    }
}
