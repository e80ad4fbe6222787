package org.sftnative.benchmarks;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.bytedeco.pytorch.Device;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Torch;

/// Real tokens per second, model TFLOP/s and peak memory of a step of cases of [CardRun], a line of JSON each: for
/// exploring. `CardStep` is the same as a benchmark.
///
///     GpuWorkloads seed7b fix1b_2048:recompute=selective,micro=8192 ...
public final class GpuWorkloads {
    private static final int WARM = 2;

    private GpuWorkloads() {}

    public static void main(String[] args) {
        Torch.start(0);
        Device device = Devices.parse("cuda");
        for (String spec : args) {
            try {
                System.out.println("RESULT " + run(spec, device));
            } catch (RuntimeException e) {
                String message = String.valueOf(e.getMessage());
                System.out.println("RESULT {\"case\":\"" + spec + "\",\"error\":\""
                        + message.substring(0, Math.min(300, message.length())).replaceAll("[\"\n]", " ") + "\"}");
            }
        }
        System.exit(0);
    }

    private static String run(String spec, Device device) {
        try (CardRun run = new CardRun(spec, device)) {
            StringBuilder losses = new StringBuilder();
            List<CardRun.Step> steps = new ArrayList<>();
            run.makeRows(WARM + run.steps());
            for (int i = 0; i < WARM + run.steps(); i++) {
                CardRun.Step step = run.step();
                losses.append(String.format(Locale.ROOT, " %.3f/%.2f", step.loss(), step.norm()));
                if (i >= WARM) {
                    steps.add(step);
                }
            }
            double total = steps.stream().mapToDouble(CardRun.Step::seconds).sum();
            steps.sort(Comparator.comparing(CardRun.Step::seconds));
            return String.format(
                    Locale.ROOT,
                    "{\"case\":\"%s\",\"tok_s\":%.0f,\"tflops\":%.1f,\"peak_gib\":%.2f,\"step_s\":%.4f,"
                            + "\"median_step_s\":%.4f,\"optimizer_s\":%.4f,\"buffers_gib\":%.2f,\"host_gib\":%.2f,\"losses\":\"%s\"}",
                    spec,
                    steps.stream().mapToLong(CardRun.Step::tokens).sum() / total,
                    steps.stream().mapToDouble(CardRun.Step::flops).sum() / total / 1e12,
                    Devices.peakBytes(device) / (double) (1L << 30),
                    total / steps.size(),
                    steps.get(steps.size() / 2).seconds(),
                    steps.stream().mapToDouble(CardRun.Step::optimizerSeconds).sum() / steps.size(),
                    run.bufferBytes() / (double) (1L << 30),
                    run.hostBytes() / (double) (1L << 30),
                    losses.toString().trim());
        }
    }
}
