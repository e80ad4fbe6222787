package org.sftnative.benchmarks;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.Pointer;
import org.sftnative.benchmarks.guard.CountsFile;
import org.sftnative.ops.Ops;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Torch;

/// What a training step asks for, counted: figures that are the same in every run of the same code, so that the guard
/// can hold them exactly. Meant for a JVM with `-Xint` (what the compiler allocates differs from run to run) and
/// with JavaCPP's counting on.
///
/// Keys: `workload/engine/figure`. Figures of four steps, so that what one of them does shows: `operators` (libtorch's
/// dispatcher), `host_reads` (values that the host waits for), `ops_calls` (calls of `Ops`); a step: `live_pointers`
/// (native objects that stay), `heap_bytes` (of the loop's thread); and of the run: `buffer_bytes`.
public final class Counts {
    private static final int RUNS = 3;

    private Counts() {}

    /// Counts both engines, and LoRA, on the CPU.
    public static SortedMap<String, Long> ofThisBuild() {
        if (!"false".equals(System.getProperty("org.bytedeco.javacpp.nopointergc"))) {
            throw new IllegalStateException("pointers are not counted without"
                    + " -Dorg.bytedeco.javacpp.nopointergc=false\n  scripts/bench --counts sets it");
        }
        Torch.start(1);
        SortedMap<String, Long> counts = new TreeMap<>();
        counts.put(CountsFile.JDK, jdk());
        for (String engine : new String[] {"fused", "reference", "lora"}) {
            of(Workload.TINY, engine).forEach((figure, value) -> counts.put("TINY/" + engine + "/" + figure, value));
        }
        return counts;
    }

    /// 25.0.1+8 as 25000108.
    public static long jdk() {
        Runtime.Version v = Runtime.version();
        return ((v.feature() * 100L + v.interim()) * 100 + v.update()) * 100
                + v.build().orElse(0);
    }

    private static SortedMap<String, Long> of(Workload workload, String engine) {
        AtomicLong opsCalls = new AtomicLong();
        try (TrainRun run = new TrainRun(workload, engine, Devices.cpu(), ops -> counted(ops, opsCalls))) {
            run.check();
            run.run();
            SortedMap<String, Long> counts = new TreeMap<>();
            counts.put("buffer_bytes", run.bufferBytes());
            int steps = RUNS * TrainRun.STEPS;
            long pointers = Pointer.totalCount();
            long heap = heapBytes();
            for (int i = 0; i < RUNS; i++) {
                run.run();
            }
            counts.put("heap_bytes", (heapBytes() - heap) / steps);
            counts.put("live_pointers", ceilDiv(Pointer.totalCount() - pointers, steps));
            opsCalls.set(0);
            try (OperatorCounter operators = new OperatorCounter()) {
                run.run();
                counts.put("operators", operators.total());
                counts.put("host_reads", operators.of("aten::_local_scalar_dense"));
            }
            counts.put("ops_calls", opsCalls.get());
            return counts;
        }
    }

    /// One pointer that stays in many steps is a leak all the same.
    private static long ceilDiv(long value, long by) {
        return Math.ceilDiv(value, by);
    }

    private static long heapBytes() {
        return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }

    private static Ops counted(Ops ops, AtomicLong calls) {
        return (Ops) Proxy.newProxyInstance(
                Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (_, method, args) -> {
                    calls.incrementAndGet();
                    try {
                        return method.invoke(ops, args);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}
