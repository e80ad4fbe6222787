package org.sftnative.kernels;

/// What a weight's gradient is kept in.
public enum GradientType {
    BF16,
    FP32
}
