"""Compares GGUF files with the models that they were made of: read_gguf.py MODEL FILE [MODEL FILE ...]

Reads with the gguf package, every key and every tensor; exits with 1 at the first difference.
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFReader, dequantize, quantize
from safetensors import safe_open


def bits(x):
    return x.view({2: np.uint16, 4: np.uint32}[x.itemsize])


def load(model):
    tensors = {}
    for file in sorted(Path(model).glob("*.safetensors")):
        with safe_open(file, "pt") as f:
            for name in f.keys():
                tensors[name] = f.get_tensor(name).float().numpy()
    return tensors


def renamed(name):
    for old, new in [
        ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
        ("model.layers", "blk"), ("self_attn.o_proj", "attn_output"), ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"),
    ]:
        name = name.replace(old, new)
    return name


def interleaved(w, heads):
    """Rows of a head: halves, as transformers rotates them, to neighbours, as llama.cpp does."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def compare(model, file):
    config = json.loads((Path(model) / "config.json").read_text())
    tokenizer = json.loads((Path(model) / "tokenizer.json").read_text())
    reader = GGUFReader(file)
    keys = {name: field.contents() for name, field in reader.fields.items()}
    arch = "qwen2" if config["model_type"] == "qwen2" else "llama"
    heads = config["num_attention_heads"]
    kv_heads = config["num_key_value_heads"]
    rope = config.get("rope_parameters") or {}
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    expected = {
        "GGUF.version": 3,
        "general.architecture": arch,
        f"{arch}.vocab_size": config["vocab_size"],
        f"{arch}.context_length": config["max_position_embeddings"],
        f"{arch}.embedding_length": config["hidden_size"],
        f"{arch}.block_count": config["num_hidden_layers"],
        f"{arch}.feed_forward_length": config["intermediate_size"],
        f"{arch}.attention.head_count": heads,
        f"{arch}.attention.head_count_kv": kv_heads,
        f"{arch}.attention.key_length": head_dim,
        f"{arch}.attention.value_length": head_dim,
        f"{arch}.rope.dimension_count": head_dim,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    for key, value in expected.items():
        assert keys[key] == value, (file, key, keys[key], value)
    assert np.float32(keys[f"{arch}.attention.layer_norm_rms_epsilon"]) == np.float32(config["rms_norm_eps"])
    assert np.float32(keys[f"{arch}.rope.freq_base"]) == np.float32(rope.get("rope_theta", config.get("rope_theta")))
    vocabulary = {id: token for token, id in tokenizer["model"]["vocab"].items()}
    tokens = keys["tokenizer.ggml.tokens"]
    assert len(tokens) == config["vocab_size"] == len(keys["tokenizer.ggml.token_type"])
    assert all(tokens[id] == token for id, token in vocabulary.items()), file
    merges = [" ".join(m) if isinstance(m, list) else m for m in tokenizer["model"]["merges"]]
    assert keys["tokenizer.ggml.merges"] == merges, file

    found = {t.name: t for t in reader.tensors}
    wanted = load(model)
    if config.get("tie_word_embeddings"):
        wanted.pop("lm_head.weight", None)
    assert len(found) == len(wanted) + ("rope_freqs.weight" in found), file
    for name, w in wanted.items():
        if arch == "llama" and "q_proj" in name:
            w = interleaved(w, heads)
        if arch == "llama" and "k_proj" in name:
            w = interleaved(w, kv_heads)
        tensor = found[renamed(name)]
        kind = tensor.tensor_type
        asked = T[Path(file).stem.rsplit("-", 1)[1].upper()]
        if asked == T.Q8_0 and w.shape[-1] % 32:
            asked = T.F16
        assert kind == (T.F32 if w.ndim == 1 else asked), (file, name, kind)
        assert list(tensor.shape) == list(reversed(w.shape)), (file, name)
        stored = np.ascontiguousarray(tensor.data).view(np.uint8).reshape(-1)
        if kind in (T.F32, T.F16):
            own = w.astype(np.float32 if kind == T.F32 else np.float16).view(np.uint8)
        else:
            own = quantize(np.ascontiguousarray(w), kind).view(np.uint8)
        assert np.array_equal(stored, own.reshape(-1)), (file, name, "bytes differ")
        if kind == T.Q8_0:
            back = dequantize(tensor.data, kind).reshape(-1, 32)
            scale = np.abs(w.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
            # half a step; 127 steps of a scale rounded to fp16 add up to 127 / 2048
            assert (np.abs(back - w.reshape(-1, 32)) <= scale * (0.5 + 127 / 2048) + 1e-9).all(), (file, name)


for at in range(1, len(sys.argv), 2):
    compare(sys.argv[at], sys.argv[at + 1])
print(f"{len(sys.argv) // 2} files are equal")
