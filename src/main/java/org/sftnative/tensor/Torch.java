package org.sftnative.tensor;

import java.io.IOException;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.mkl.global.mkl_rt;
import org.bytedeco.pytorch.global.torch;

/// Loads libtorch the way this program needs it. Call [#start] before any class of the presets is touched.
///
/// Three defaults are wrong for training and can only be changed before the libraries load. JavaCPP counts and
/// collects native memory (2.6 us an op instead of 1.0); here scopes free it. OpenBLAS runs its own threads beside
/// torch's, which spin against each other (304 tokens a second on two cores where MKL reaches 3,500): MKL it is, on
/// torch's own OpenMP pool. And that pool's idle threads spin: with another process on the same two cores, a step
/// took four times as long (348 tokens a second against 1,423), so after a short while they sleep. What the C library
/// does with freed memory is chosen in [HostMemory].
public final class Torch {
    private static final int LOADED_THREADS = load();

    private Torch() {}

    private static int load() {
        setDefault("org.bytedeco.javacpp.nopointergc", "true");
        setDefault("org.bytedeco.javacpp.maxBytes", "0");
        setDefault("org.bytedeco.javacpp.maxPhysicalBytes", "0");
        Environment.setDefault("OMP_WAIT_POLICY", "PASSIVE");
        Environment.setDefault("GOMP_SPINCOUNT", "100000"); // a tenth of a millisecond: 5% faster than none
        Environment.setDefault("MKL_THREADING_LAYER", "GNU");
        HostMemory.keepFreed(System.getenv());
        UnpackedLibraries.load(() -> {
            if (hasMkl()) {
                setDefault("org.bytedeco.openblas.load", "mkl");
            }
            torch.globalContext().setAllowBF16ReductionCuBLAS(false); // split-K would sum in bf16
        });
        return threads(
                torch.get_num_threads(),
                Math.min(Loader.totalCores(), Runtime.getRuntime().availableProcessors()),
                System.getenv("OMP_NUM_THREADS"));
    }

    /// A thread for each core. libtorch takes the two of some virtual machines for one, which Linux does not: training
    /// ran at 2,385 tokens a second there instead of 4,016 (medians of three, in turns).
    ///
    /// @param chosen by libtorch
    /// @param cores that Linux tells of, and that this process may use
    /// @param asked OMP_NUM_THREADS, which libtorch has followed; null without it
    static int threads(int chosen, int cores, String asked) {
        return asked != null ? chosen : Math.max(chosen, cores);
    }

    /// A build for GPU hosts may leave MKL's 160 MB out: then OpenBLAS does what little the CPU has to.
    private static boolean hasMkl() {
        try {
            Loader.load(mkl_rt.class);
            return true;
        } catch (LinkageError notHere) {
            return false;
        }
    }

    /// Loads libtorch, once, and sets how many CPU threads it uses.
    ///
    /// @param threads CPU threads of one operation; 0: one for each core, or OMP_NUM_THREADS
    public static void start(int threads) {
        torch.set_num_threads(threads > 0 ? threads : LOADED_THREADS);
    }

    /// Keeps what libtorch logs off standard error, unless TORCH_CPP_LOG_LEVEL asks for it: exceptions
    /// say the same.
    public static void quiet() {
        Environment.setDefault("TORCH_CPP_LOG_LEVEL", "FATAL");
        torch.initLogging();
    }

    /// CPU threads of one operation.
    public static int threads() {
        return torch.get_num_threads();
    }

    /// The version of libtorch and its presets, such as `2.10.0-1.5.13`.
    public static String version() {
        try {
            return Loader.getVersion("org.bytedeco", "pytorch");
        } catch (IOException noPom) {
            return "unknown";
        }
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }
}
