package org.sftnative.ops;

/// The numbers of one AdamW update (arXiv 1711.05101): m and v are moved towards the gradient and its square, the
/// weight
/// decays by lr * weightDecay and moves by lr * mHat / (sqrt(vHat) + epsilon).
///
/// @param learningRate of this step
/// @param beta1 decay of m
/// @param beta2 decay of v
/// @param epsilon added to the root of v
/// @param weightDecay decoupled; 0 for norms and biases
/// @param step from 1, for the bias corrections
public record AdamWUpdate(
        double learningRate, double beta1, double beta2, double epsilon, double weightDecay, long step) {}
