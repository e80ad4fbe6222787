package org.sftnative.benchmarks;

import java.util.List;
import org.bytedeco.pytorch.Device;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.ScalarResult;
import org.sftnative.benchmarks.guard.Results;
import org.sftnative.tensor.Devices;

/// `allocatedPeakBytes` (CUDA) or `residentPeakBytes` (CPU) of benchmarks that have a parameter `device`: most bytes in
/// use since the fork began, its setup
/// included. A profiler and not an `@AuxCounters` field, because JMH adds those up over iterations and forks.
public final class PeakBytes implements InternalProfiler {
    @Override
    public String getDescription() {
        return "most bytes in use: allocated on a CUDA device, resident in the process on the CPU";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {
        // the peak is the fork's
    }

    @Override
    public List<ScalarResult> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        if (!benchmark.getParamsKeys().contains("device")) {
            return List.of();
        }
        Device device = Devices.parse(benchmark.getParam("device"));
        long bytes = Devices.peakBytes(device);
        return List.of(new ScalarResult(
                Devices.isCuda(device) ? Results.PEAK_BYTES : "residentPeakBytes",
                bytes,
                "bytes",
                AggregationPolicy.MAX));
    }
}
