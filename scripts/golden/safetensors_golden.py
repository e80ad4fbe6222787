"""Files that the Python safetensors library writes, for SafetensorsGoldenTest to compare byte for byte.

Run from the repository's root: python scripts/golden/safetensors_golden.py
Needs torch and safetensors; the versions that wrote the committed files are in versions.json beside them.
The content of every tensor is a rule that the test repeats: byte i of the tensor at place k (in the list that it is
given in) is (31 * k + 7 * i) mod 256, for bool mod 2.
"""
import json
import pathlib

import safetensors
import torch
from safetensors.torch import save_file

OUT = pathlib.Path("src/test/resources/golden/safetensors")
PT = {"format": "pt"}


def tensor(place, dtype, *shape):
    """A tensor whose bytes follow the rule. shape is torch's: of float4_e2m1fn_x2, pairs."""
    dtype = getattr(torch, dtype)
    count = dtype.itemsize
    for dimension in shape:
        count *= dimension
    raw = [(31 * place + 7 * i) % (2 if dtype == torch.bool else 256) for i in range(count)]
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.tensor(raw, dtype=torch.uint8).view(dtype).reshape(shape)


def save(name, named, metadata=PT):
    save_file({key: tensor(place, *spec) for place, (key, spec) in enumerate(named)}, OUT / f"{name}.safetensors", metadata)


OUT.mkdir(parents=True, exist_ok=True)
save("all_dtypes", [(f"t.{dtype}", (dtype, 2, 3)) for dtype in (
    "bool", "float4_e2m1fn_x2", "uint8", "int8", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu", "int16", "uint16",
    "float16", "bfloat16", "int32", "uint32", "float32", "complex64", "float64", "int64", "uint64")])
save("names", [(name, ("float32", 1)) for name in (
    "b", "a", "B", "a.b", "", "quote\" back\\slash /", "tab\t newline\n bell\x07 return\r form\f back\b nul\0 del\x7f",
    "\u00e9", "\u4e2d\u6587", "\ue000 private", "\U0001f600 beyond the first plane", "\u2028 line", "\uffff")])
save("shapes", [("scalar", ("float32",)), ("none", ("float32", 0)), ("flat", ("bfloat16", 0, 5)),
                ("odd", ("uint8", 3)), ("deep", ("bfloat16", 1, 2, 1, 3)), ("wide", ("float32", 7))])
save("empty", [])
save("bare", [("w", ("float32", 2))], None)
save("llama_layer", [(f"model.layers.{i}.{name}", ("bfloat16", *shape)) for i in (0, 1, 10, 2) for name, shape in (
    ("self_attn.q_proj.weight", (8, 4)), ("input_layernorm.weight", (4,)), ("mlp.down_proj.weight", (4, 6)))])
(OUT / "versions.json").write_text(json.dumps(
    {"safetensors": safetensors.__version__, "torch": torch.__version__}, indent=2) + "\n")
