package org.sftnative.ops;

/// The numbers of one AdamW update (arXiv 1711.05101): m and v are moved towards the gradient and its
/// square, the weight decays by lr * weightDecay and moves by lr * mHat / (sqrt(vHat) + epsilon).
///
/// @param learningRate of this step
/// @param beta1 decay of m
/// @param beta2 decay of v
/// @param epsilon added to the root of v
/// @param weightDecay decoupled
/// @param first place of the first element in the run's whole buffer, for the random bits: a multiple
///     of 256
/// @param decayed elements from the start that weight decay touches; the rest, norms and biases, it
///     spares
/// @param step from 1, for the bias corrections and the random bits
/// @param seed of the random bits, where rounding is stochastic
public record AdamWUpdate(
        double learningRate,
        double beta1,
        double beta2,
        double epsilon,
        double weightDecay,
        long first,
        long decayed,
        long step,
        long seed) {
    /// The same with another rate and step.
    public AdamWUpdate at(double learningRate, long step) {
        return new AdamWUpdate(learningRate, beta1, beta2, epsilon, weightDecay, first, decayed, step, seed);
    }

    /// The same of some of the elements.
    ///
    /// @param from the first of them
    /// @param n how many
    public AdamWUpdate part(long from, long n) {
        return new AdamWUpdate(
                learningRate,
                beta1,
                beta2,
                epsilon,
                weightDecay,
                first + from,
                Math.clamp(decayed - from, 0, n),
                step,
                seed);
    }
}
