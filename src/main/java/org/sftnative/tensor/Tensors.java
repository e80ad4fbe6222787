package org.sftnative.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Tensors from Java arrays and back. Every result belongs to the scope around the call.
public final class Tensors {
    private static final long MOST_QUEUED = 1L << 20; // elements

    private Tensors() {}

    /// Options for a new tensor.
    public static TensorOptions options(ScalarType type, Device device) {
        return new TensorOptions(type).device(new DeviceOptional(device));
    }

    /// A new tensor whose values are whatever was there.
    public static Tensor empty(ScalarType type, Device device, long... shape) {
        return torch.empty(shape, options(type, device), new MemoryFormatOptional());
    }

    /// A new tensor of zeros.
    public static Tensor zeros(ScalarType type, Device device, long... shape) {
        return torch.zeros(shape, options(type, device));
    }

    /// Memory of the host that a card copies from and to while the host goes on: a copy from any other waits until
    /// all that was queued before it is done. It is scarce, so that much is copied the other way.
    static Tensor onHost(ScalarType type, Device device, long... shape) {
        long elements = 1;
        for (long size : shape) {
            elements *= size;
        }
        if (!Devices.isCuda(device) || elements > MOST_QUEUED) {
            return empty(type, Devices.cpu(), shape);
        }
        TensorOptions options = options(type, Devices.cpu()).pinned_memory(new BoolOptional(true));
        return torch.empty(shape, options, new MemoryFormatOptional());
    }

    private static Tensor queued(Tensor source, Device device) {
        return Devices.isCuda(device)
                ? source.to(device, source.scalar_type(), true, false, new MemoryFormatOptional())
                : source;
    }

    /// (n) int64 on the device.
    public static Tensor ofLongs(long[] values, Device device) {
        Tensor host = onHost(ScalarType.Long, device, values.length);
        MemorySegment.copy(values, 0, memory(host), ValueLayout.JAVA_LONG, 0, values.length);
        return queued(host, device);
    }

    /// (n) int64 on the device, from ints.
    public static Tensor ofInts(int[] values, Device device) {
        Tensor host = onHost(ScalarType.Long, device, values.length);
        MemorySegment memory = memory(host);
        for (int i = 0; i < values.length; i++) {
            memory.setAtIndex(ValueLayout.JAVA_LONG, i, values[i]);
        }
        return queued(host, device);
    }

    /// (n) fp64 on the host.
    public static Tensor ofDoubles(double... values) {
        Tensor host = empty(ScalarType.Double, Devices.cpu(), values.length);
        MemorySegment.copy(values, 0, memory(host), ValueLayout.JAVA_DOUBLE, 0, values.length);
        return host;
    }

    /// The values of an fp64 tensor on the host.
    public static double[] doubles(Tensor host) {
        return memory(host).toArray(ValueLayout.JAVA_DOUBLE);
    }

    /// Fp32 of the given shape on the device.
    public static Tensor ofFloats(float[] values, Device device, long... shape) {
        Tensor host = onHost(ScalarType.Float, device, shape);
        if (host.numel() != values.length) {
            throw new IllegalArgumentException(values.length + " values for " + host.numel() + " elements");
        }
        MemorySegment.copy(values, 0, memory(host), ValueLayout.JAVA_FLOAT, 0, values.length);
        return queued(host, device);
    }

    /// The values of a tensor of any float type, in row-major order.
    public static float[] floats(Tensor tensor) {
        return floatsOf(tensor.detach().to(ScalarType.Float));
    }

    /// The values of an integer tensor, in row-major order.
    public static long[] longs(Tensor tensor) {
        Tensor host = to(tensor.detach().to(ScalarType.Long), Devices.cpu()).contiguous();
        return memory(host).toArray(ValueLayout.JAVA_LONG);
    }

    /// The memory of a contiguous CPU tensor. It is valid while the tensor lives.
    ///
    /// @throws IllegalArgumentException if the tensor is not contiguous, or not on the CPU
    public static MemorySegment memory(Tensor tensor) {
        if (!tensor.is_cpu() || !tensor.is_contiguous()) {
            throw new IllegalArgumentException("memory of a tensor that is not contiguous on the CPU");
        }
        if (tensor.numel() == 0) {
            return MemorySegment.NULL; // libtorch gives an empty tensor no address
        }
        return MemorySegment.ofAddress(tensor.data_ptr().address()).reinterpret(tensor.nbytes());
    }

    /// Whether a tensor has an element type. (The presets make a new object of every answer: `==` is never true.)
    public static boolean is(Tensor tensor, ScalarType type) {
        return tensor.scalar_type().value == type.value;
    }

    /// The tensor on a device: itself if it is there.
    public static Tensor to(Tensor tensor, Device device) {
        return tensor.to(device, tensor.scalar_type());
    }

    private static float[] floatsOf(Tensor tensor) {
        return memory(to(tensor, Devices.cpu()).contiguous()).toArray(ValueLayout.JAVA_FLOAT);
    }
}
