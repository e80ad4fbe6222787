package org.sftnative.cli;

import java.io.PrintStream;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.config.CommBenchSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.dist.World;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;
import org.sftnative.train.Placing;

/// `comm-bench`: what the exchanges of a run reach between these ranks, by size. Bus bandwidth is as
/// nccl-tests has it: the bytes that every rank must send, by the time, whatever the number of ranks.
final class CommBenchCommand {
    static final SettingsSchema<CommBenchSettings> COMM_BENCH = SettingsSchema.of(CommBenchSettings.class);

    private static final long LEAST_BYTES = 4096;

    private CommBenchCommand() {}

    static void run(CommBenchSettings settings, World world, PrintStream out) {
        Device device = Devices.parse(Placing.device(settings.device(), world));
        world.on(device);
        int n = world.size();
        say(world, out, "%d ranks: %s", n, world.describe());
        say(
                world,
                out,
                "%14s %12s %12s  %s",
                "bytes",
                "median ms",
                "bus GB/s",
                "of fp32, of which each rank has the whole");
        for (long bytes = LEAST_BYTES; bytes <= settings.maxBytes(); bytes *= 8) {
            try (PointerScope _ = new PointerScope()) {
                Tensor flat = Tensors.zeros(ScalarType.Float, device, bytes / Float.BYTES);
                row(settings, world, out, "all-reduce", bytes, 2.0 * (n - 1) / n, flat, world::sum);
                row(settings, world, out, "reduce-scatter", bytes, (n - 1.0) / n, flat, world::reduceScatter);
                row(settings, world, out, "all-gather", bytes, (n - 1.0) / n, flat, world::allGather);
            }
        }
    }

    private static void row(
            CommBenchSettings settings,
            World world,
            PrintStream out,
            String name,
            long bytes,
            double sent,
            Tensor flat,
            Consumer<Tensor> collective) {
        double[] seconds = new double[settings.repeats()];
        for (int i = -2; i < seconds.length; i++) {
            world.barrier();
            long began = System.nanoTime();
            collective.accept(flat);
            Devices.synchronize(flat.device());
            if (i >= 0) {
                seconds[i] = (System.nanoTime() - began) / 1e9;
            }
        }
        Arrays.sort(seconds);
        double median = World.max(world.exchange(seconds[seconds.length / 2]), 0); // the slowest rank's
        say(world, out, "%14d %12.3f %12.3f  %s", bytes, 1e3 * median, sent * bytes / median / 1e9, name);
    }

    private static void say(World world, PrintStream out, String format, Object... values) {
        if (world.leads()) {
            out.printf(Locale.ROOT, format + "%n", values);
        }
    }
}
