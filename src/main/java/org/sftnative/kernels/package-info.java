/// The CUDA kernels of `native/` as typed Java methods, through Panama: NVRTC compiles them to a cubin of the card at
/// hand, the driver API launches them on a stream of the caller. Nothing here knows libtorch: device memory and streams
/// are addresses. Start at [KernelSupport].
package org.sftnative.kernels;
