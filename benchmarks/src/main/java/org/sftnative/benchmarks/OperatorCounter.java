package org.sftnative.benchmarks;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.global.torch;

/// Counts what libtorch's dispatcher is asked for, by operator, on every thread: through its profiling hook, which the
/// presets take as a pointer to a struct that they do not bind.
///
/// Layout of at::RecordFunctionCallback (ATen/record_function.h, 2.10): start, end (function pointers), sampling
/// probability (double), one bool a scope (the first is operators), needs inputs, outputs, ids.
public final class OperatorCounter implements AutoCloseable {
    private static final long STRUCT_BYTES = 64;
    private static final long SCOPES = 24;
    private static final long MAX_NAME = 1024;
    /// `const char* at::RecordFunction::name() const`; the presets take a pointer to one only to make another of it.
    private static final MethodHandle NAME = Linker.nativeLinker()
            .downcallHandle(
                    SymbolLookup.loaderLookup().findOrThrow("_ZNK2at14RecordFunction4nameEv"),
                    FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS));

    private final ConcurrentHashMap<String, AtomicLong> counts = new ConcurrentHashMap<>();
    private final Arena arena = Arena.ofShared();
    private final long handle;

    /// Begins to count.
    public OperatorCounter() {
        MemorySegment callback = arena.allocate(STRUCT_BYTES, 8);
        callback.set(ValueLayout.ADDRESS, 0, upcall());
        callback.set(ValueLayout.JAVA_DOUBLE, 16, 1.0);
        callback.set(ValueLayout.JAVA_BOOLEAN, SCOPES, true);
        handle = torch.addGlobalCallback(new Address(callback.address()));
    }

    /// Calls of one operator, `aten::mm`, since the last [#reset].
    public long of(String operator) {
        AtomicLong count = counts.get(operator);
        return count == null ? 0 : count.get();
    }

    /// Calls of all of them.
    public long total() {
        return counts.values().stream().mapToLong(AtomicLong::get).sum();
    }

    /// Begins anew.
    public void reset() {
        counts.clear();
    }

    @Override
    public void close() {
        torch.removeCallback(handle);
        arena.close();
    }

    /// `unique_ptr<ObserverContext> start(const RecordFunction&)`: the caller passes where the result goes; null is
    /// one.
    private MemorySegment start(MemorySegment result, MemorySegment function) {
        result.reinterpret(8).set(ValueLayout.JAVA_LONG, 0, 0);
        try {
            MemorySegment name = (MemorySegment) NAME.invokeExact(function);
            String operator = name.reinterpret(MAX_NAME).getString(0);
            counts.computeIfAbsent(operator, _ -> new AtomicLong()).incrementAndGet();
        } catch (Throwable e) {
            throw new IllegalStateException(e); // ends the process: nothing may be thrown through libtorch
        }
        return result;
    }

    private MemorySegment upcall() {
        try {
            MethodHandle start = MethodHandles.lookup()
                    .bind(
                            this,
                            "start",
                            MethodType.methodType(MemorySegment.class, MemorySegment.class, MemorySegment.class));
            return Linker.nativeLinker()
                    .upcallStub(
                            start,
                            FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.ADDRESS),
                            arena);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /// An address as the presets take it.
    private static final class Address extends Pointer {
        Address(long at) {
            super((Pointer) null);
            address = at;
        }
    }
}
