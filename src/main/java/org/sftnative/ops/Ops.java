package org.sftnative.ops;

import org.bytedeco.pytorch.Tensor;

/// What a model and an optimizer need besides matrix products. `AtenOps` runs on any device.
public interface Ops {
    /// One AdamW update in place.
    ///
    /// @param weights (n) fp32
    /// @param gradients (n) fp32, already clipped
    /// @param m (n) fp32, first moment
    /// @param v (n) fp32, second moment
    void adamw(Tensor weights, Tensor gradients, Tensor m, Tensor v, AdamWUpdate update);

    /// The 2-norm of a flat buffer, summed in fp32 at least: a scalar on the device.
    Tensor norm(Tensor flat);
}
