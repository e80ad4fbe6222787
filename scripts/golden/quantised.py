"""A quantised matrix worked out in numpy from the definitions of QLoRA (arXiv 2305.14314, appendix E) and LLM.int8.

Writes src/test/resources/golden/quantised/golden.safetensors and golden.json. The program must make the same codes, and
read back the same weights. The dynamic 8-bit map of the scales is built here from its definition (arXiv 2110.02861).
Run from the project root: python3 scripts/golden/quantised.py
"""
import numpy as np
from common import GOLDEN, torch_on_one_thread, versions, write_json

torch = torch_on_one_thread()
from safetensors.torch import save_file

# appendix E of the paper
NF4 = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
     -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
     0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], dtype=np.float32)


def dynamic_map():
    """Sign, exponent by the leading zeros, and the middles of equal parts of [0.1, 1) of each decade; 0 and 1."""
    values = [0.0, 1.0]
    for decade in range(7):
        edges = np.linspace(0.1, 1, 2**decade + 1)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (decade - 6)
        values += [*middles, *(-middles)]
    return np.sort(np.array(values)).astype(np.float32)


def nearest(x, values):
    """The code of the nearest value, of two equally near the lower one. By brute force."""
    distance = np.abs(x.astype(np.float64)[:, None] - values.astype(np.float64)[None])
    return distance.argmin(1)


def blocks(x, size):
    padded = np.zeros(-(-len(x) // size) * size, np.float32)
    padded[: len(x)] = x
    return padded.reshape(-1, size)


def scaled(b):
    largest = np.abs(b).max(1)
    return (b / np.where(largest == 0, 1, largest)[:, None]).astype(np.float32), largest.astype(np.float32)


def nf4(w, double):
    x = w.reshape(-1)
    b, absmax = scaled(blocks(x, 64))
    codes = nearest(b.reshape(-1), NF4)
    # a padded end is written only as far as the last byte
    packed = (codes[0::2] * 16 + codes[1::2]).astype(np.uint8)[: (len(x) + 1) // 2]
    if not double:
        read = (NF4[codes].reshape(-1, 64) * absmax[:, None]).reshape(-1)[: len(x)].reshape(w.shape)
        return dict(codes=packed, absmax=absmax), read
    offset = np.float32(absmax.astype(np.float64).mean())
    c, group = scaled(blocks(absmax - offset, 256))
    map8 = dynamic_map()
    scale_codes = nearest(c.reshape(-1), map8)[: len(absmax)]
    scale = map8[scale_codes] * np.repeat(group, 256)[: len(absmax)] + offset
    read = (NF4[codes].reshape(-1, 64) * scale[:, None]).reshape(-1)[: len(x)].reshape(w.shape)
    return dict(codes=packed, scale_codes=scale_codes.astype(np.uint8), absmax=group, offset=np.array([offset])), read


def int8(w):
    absmax = np.abs(w).max(1).astype(np.float32)
    codes = np.rint(w * np.float32(127) / np.where(absmax == 0, 1, absmax)[:, None]).astype(np.int8)
    return dict(codes=codes, absmax=absmax), codes.astype(np.float32) * (absmax / np.float32(127))[:, None]


def main():
    rng = np.random.default_rng(7)
    # blocks within rows, blocks across rows, an end within a block, an odd number of weights, a row of zeros
    matrices = {
        "whole": (rng.standard_normal((270, 64)) * 0.02).astype(np.float32),
        "across": (rng.standard_normal((35, 100)) * 0.02).astype(np.float32),
        "odd": (rng.standard_normal((13, 37)) * 0.5).astype(np.float32),
    }
    matrices["whole"][5] = 0
    golden, errors = {}, {}
    for name, w in matrices.items():
        golden[f"{name}.weight"] = w
        for kind, (kept, read) in {"NF4": nf4(w, False), "NF4_DOUBLE": nf4(w, True), "INT8": int8(w)}.items():
            golden |= {f"{name}.{kind}.{key}": value for key, value in kept.items()}
            if name != "whole":  # which is there for its scales, of more than one group
                golden[f"{name}.{kind}.read"] = read.astype(np.float32)
            errors[f"{name}.{kind}"] = float(np.sqrt(((read - w) ** 2).sum() / (w**2).sum()))
    golden["values"] = NF4
    folder = GOLDEN / "quantised"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in golden.items()}, folder / "golden.safetensors", metadata={"format": "pt"})
    write_json(folder / "golden.json", {"versions": versions("numpy", "torch", "safetensors"), "relative_error": errors})
    print(errors)


if __name__ == "__main__":
    main()
