package org.sftnative.cli;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.metrics.Units;
import org.sftnative.ops.CudaOps;
import org.sftnative.tensor.Card;
import org.sftnative.tensor.DataSheet;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;
import org.sftnative.tensor.Torch;

/// Looks at a machine as a training run would, from the driver up, and says what to do about each fault. Nothing is
/// loaded before what it needs was found: a missing library is a line, not a crash.
final class Doctor {
    /// What libtorch's CUDA part opens, by soname.
    static final List<String> LIBRARIES = List.of(
            "libcudart.so.13",
            "libcublas.so.13",
            "libcublasLt.so.13",
            "libcudnn.so.9",
            "libcusparse.so.12",
            "libcufft.so.12",
            "libcufile.so.0",
            "libcurand.so.10",
            "libnccl.so.2");

    /// Below this share of the data sheet something is wrong: sound cards reach 75% and more.
    private static final double SOUND = 0.6;

    private static final int ROUNDS = 10;
    private static final long GEMM = 8192;
    private static final long CPU_GEMM = 1024;

    private final Consumer<String> out;
    private final List<String> faults = new ArrayList<>();

    Doctor(Consumer<String> out) {
        this.out = out;
    }

    /// Prints what it finds, a line each.
    ///
    /// @return whether nothing is at fault
    boolean examine() {
        Version version = Version.ofThisBuild();
        line(
                "build",
                "sft-native " + version.project() + ", commit " + version.commit() + ", libtorch " + version.libtorch()
                        + " for " + version.natives());
        line(
                "java",
                Runtime.version() + ", " + System.getProperty("java.vm.name") + ", heap up to "
                        + Units.bytes(Runtime.getRuntime().maxMemory()));
        boolean gpuBuild = version.natives().endsWith("-gpu");
        boolean driver = found("libcuda.so.1");
        if (gpuBuild) {
            line("driver", driver ? "libcuda.so.1" : "libcuda.so.1 is missing");
            if (!driver) {
                fault("install the NVIDIA driver (in a container: start it with the GPU), or use --device cpu");
            }
            List<String> missing = LIBRARIES.stream().filter(l -> !found(l)).toList();
            line("cuda libraries", missing.isEmpty() ? "all " + LIBRARIES.size() + " found" : "missing: " + missing);
            if (!missing.isEmpty()) {
                fault("install the CUDA 13 toolkit, cuDNN 9 and NCCL, or their pip packages, and put their folders into"
                        + " LD_LIBRARY_PATH; bin/sft-native of a distribution does that by itself. This build needs"
                        + " them on the CPU, too: without a card, take the one for CPUs (scripts/dist --cpu)");
            }
        }
        if (faults.isEmpty()) {
            libtorch();
        }
        out.accept(faults.isEmpty() ? "no faults found" : faults.size() + " found, what to do:");
        faults.forEach(advice -> out.accept("  " + advice));
        return faults.isEmpty();
    }

    private void libtorch() {
        try {
            Torch.start(0);
        } catch (LinkageError e) {
            line("libtorch", "does not load: " + e.getMessage());
            fault("a library that libtorch needs is missing or of another version: see the line above");
            return;
        }
        line(
                "cpu",
                Torch.threads() + " threads of " + Runtime.getRuntime().availableProcessors() + " processors, "
                        + String.format(
                                Locale.ROOT,
                                "%.0f GFLOP/s in fp32 products",
                                gemm(Devices.cpu(), ScalarType.Float, CPU_GEMM) / 1e9));
        if (!torch.cuda_is_available()) {
            line("card", "none that libtorch can use: training is on the CPU");
            if (Version.ofThisBuild().natives().endsWith("-gpu")) {
                fault(
                        "libtorch sees no card: nvidia-smi says whether the driver does, and CUDA_VISIBLE_DEVICES what is hidden");
            }
            return;
        }
        card(Devices.parse("cuda"));
    }

    private void card(Device device) {
        Card card = Card.of(device);
        line(
                "card",
                card.name() + ", compute capability " + card.capability() + ", driver for CUDA " + card.driver() + ", "
                        + torch.getNumGPUs() + " visible");
        line("memory", Units.bytes(card.freeBytes()) + " free of " + Units.bytes(card.totalBytes()));
        if (card.freeBytes() < card.totalBytes() / 2) {
            fault("more than half of the card's memory is taken: nvidia-smi names the processes");
        }
        switch (CudaOps.probe(device)) {
            case CudaOps.Probe.Ready(CudaOps _, String arch) -> line("kernels", "compiled for " + arch);
            case CudaOps.Probe.Missing(String reason) -> {
                line("kernels", "not used: " + reason);
                fault("training works without the kernels, at about half the speed; NVRTC (libnvrtc.so) comes with the"
                        + " CUDA toolkit or pip install nvidia-cuda-nvrtc");
            }
        }
        DataSheet sheet = DataSheet.of(card.name()).orElse(new DataSheet("", 0, 0));
        rate("bf16 products", gemm(device, ScalarType.BFloat16, GEMM) / 1e12, "TFLOP/s", sheet.teraflops());
        rate("copies", copy(device) / 1e12, "TB/s", sheet.terabytes());
    }

    private void rate(String what, double rate, String unit, double sheet) {
        String text = String.format(Locale.ROOT, "%.3g %s", rate, unit);
        if (sheet == 0) {
            line(what, text + " (no data sheet of this card is known here)");
            return;
        }
        line(what, text + String.format(Locale.ROOT, ", %.0f%% of the data sheet's %.3g", 100 * rate / sheet, sheet));
        if (rate < SOUND * sheet) {
            fault(what + " are slow: another process uses the card, or its clocks are held down"
                    + " (nvidia-smi -q -d CLOCK,PERFORMANCE)");
        }
    }

    /// FLOP a second of n x n x n products, the median of some.
    private static double gemm(Device device, ScalarType type, long n) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor a = ones(device, type, n, n);
            Tensor c = ones(device, type, n, n);
            return 2.0 * n * n * n / median(device, () -> torch.mm_out(c, a, a));
        }
    }

    /// Bytes read and written a second, device to device.
    private static double copy(Device device) {
        long n = 1L << 30;
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            Tensor a = ones(device, ScalarType.Byte, n);
            Tensor b = ones(device, ScalarType.Byte, n);
            return 2.0 * n / median(device, () -> b.copy_(a));
        }
    }

    private static Tensor ones(Device device, ScalarType type, long... shape) {
        return Tensors.zeros(type, device, shape).fill_(new Scalar(1.0));
    }

    /// Seconds.
    private static double median(Device device, Runnable work) {
        double[] seconds = new double[ROUNDS];
        for (int i = -2; i < ROUNDS; i++) {
            Devices.synchronize(device);
            long began = System.nanoTime();
            work.run();
            Devices.synchronize(device);
            if (i >= 0) {
                seconds[i] = (System.nanoTime() - began) / 1e9;
            }
        }
        Arrays.sort(seconds);
        return seconds[ROUNDS / 2];
    }

    private static boolean found(String library) {
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup.libraryLookup(library, arena);
            return true;
        } catch (IllegalArgumentException notThere) {
            return false;
        }
    }

    private void line(String what, String text) {
        out.accept(String.format("%-15s %s", what, text));
    }

    private void fault(String advice) {
        faults.add(advice);
    }
}
