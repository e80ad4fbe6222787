package org.sftnative.tensor;

import org.bytedeco.pytorch.global.torch.ScalarType;

/// The element types that weights are kept in, with their names in safetensors and in `config.json`.
public enum Dtype {
    F32(4, ScalarType.Float, "float32"),
    BF16(2, ScalarType.BFloat16, "bfloat16"),
    F16(2, ScalarType.Half, "float16");

    private final int bytes;
    private final ScalarType scalarType;
    private final String hfName;

    Dtype(int bytes, ScalarType scalarType, String hfName) {
        this.bytes = bytes;
        this.scalarType = scalarType;
        this.hfName = hfName;
    }

    /// Bytes of one element.
    public int bytes() {
        return bytes;
    }

    /// The presets' name of this type.
    public ScalarType scalarType() {
        return scalarType;
    }

    /// The name that `config.json` uses: `float32`, `bfloat16`, `float16`.
    public String hfName() {
        return hfName;
    }
}
