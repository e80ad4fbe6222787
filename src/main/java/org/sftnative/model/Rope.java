package org.sftnative.model;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Rotary position embedding (arXiv 2104.09864) in the half-split layout of the Hugging Face checkpoints.
/// D head size, T tokens. Angles are fp32, as in transformers.
///
/// @param theta base of the frequencies
/// @param headDim D, even
/// @param scaling how the frequencies are stretched
public record Rope(double theta, int headDim, RopeScaling scaling) {
    /// Cosines and sines of T positions.
    ///
    /// @param cos (T, 1, D / 2) in the dtype asked for
    /// @param sin (T, 1, D / 2) in the dtype asked for
    public record Table(Tensor cos, Tensor sin) {
        /// Rotates heads: x (T, heads, D) -> (T, heads, D).
        public Tensor rotate(Tensor x) {
            TensorVector halves = torch.chunk(x, 2, 2);
            Tensor first = halves.get(0);
            Tensor second = halves.get(1);
            return torch.cat(
                    new TensorVector(
                            first.mul(cos).sub(second.mul(sin)), second.mul(cos).add(first.mul(sin))),
                    2);
        }
    }

    /// The D/2 frequencies of a document.
    ///
    /// @param length tokens of the document; only dynamic scaling looks at it
    public float[] inverseFrequencies(int length) {
        double base = theta;
        if (scaling instanceof RopeScaling.Dynamic(double factor, int max) && length > max) {
            base *= Math.pow(factor * length / max - (factor - 1), headDim / (headDim - 2.0));
        }
        float[] inverse = new float[headDim / 2];
        for (int i = 0; i < inverse.length; i++) {
            inverse[i] = scale((float) (1.0 / Math.pow(base, 2.0 * i / headDim)));
        }
        return inverse;
    }

    private float scale(float inverse) {
        return switch (scaling) {
            case RopeScaling.Default _, RopeScaling.Dynamic _ -> inverse;
            case RopeScaling.Linear(double factor) -> (float) (inverse / factor);
            case RopeScaling.Llama3(double factor, double low, double high, int original) -> {
                double wavelength = 2 * Math.PI / inverse;
                if (wavelength > original / low) {
                    yield (float) (inverse / factor);
                }
                if (wavelength < original / high) {
                    yield inverse;
                }
                double smooth = (original / wavelength - low) / (high - low);
                yield (float) ((1 - smooth) * inverse / factor + smooth * inverse);
            }
        };
    }

    /// The table of a packed batch.
    ///
    /// @param positions (T) int64
    /// @param cuSeqlens first position of each document, then T
    /// @param type dtype of the table: that of the activations, rounded from fp32
    public Table table(Tensor positions, int[] cuSeqlens, ScalarType type) {
        Tensor angles = angles(positions, cuSeqlens).unsqueeze(1); // (T, 1, D / 2)
        return new Table(angles.cos().to(type), angles.sin().to(type));
    }

    /// The angles of a packed batch: (T, D / 2) fp32.
    public Tensor angles(Tensor positions, int[] cuSeqlens) {
        Device device = positions.device();
        return scaling instanceof RopeScaling.Dynamic
                ? perDocument(positions, cuSeqlens, device)
                : angles(positions, inverseFrequencies(1), device);
    }

    private Tensor perDocument(Tensor positions, int[] cuSeqlens, Device device) {
        Tensor[] parts = new Tensor[cuSeqlens.length - 1];
        for (int d = 0; d < parts.length; d++) {
            int length = cuSeqlens[d + 1] - cuSeqlens[d];
            parts[d] = angles(positions.narrow(0, cuSeqlens[d], length), inverseFrequencies(length), device);
        }
        return torch.cat(new TensorVector(parts), 0);
    }

    private static Tensor angles(Tensor positions, float[] inverse, Device device) {
        return Scopes.yield(() -> torch.outer(
                positions.to(ScalarType.Float), Tensors.ofFloats(inverse, device, inverse.length))); // (T, D/2)
    }
}
