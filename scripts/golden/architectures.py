"""Tiny random models of each architecture, and what transformers computes from them: logits, loss, every gradient.

Writes src/test/resources/golden/arch/NAME/: a model directory (config.json, model.safetensors, fp32), golden.safetensors
and golden.json. In golden.safetensors: `document.I.input_ids`, `.labels` (n) i64 and `.logits` (n, V) fp32, each
document computed alone and unpadded; `gradient.PARAMETER` fp32 of the loss, which is the sum over the label tokens of all
documents divided by their number. One thread, fixed seeds: the same versions give the same bytes on the same CPU.
Run from the project root: python3 scripts/golden/architectures.py
"""
import math
import shutil

from common import GOLDEN, IGNORED, torch_on_one_thread, versions, write_json

torch = torch_on_one_thread()
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 128
COMMON = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=56,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
    attn_implementation="eager",
)
DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}

# name: (config class, model class, what differs from COMMON, lengths of the documents)
ARCHITECTURES = {
    "llama2": (LlamaConfig, LlamaForCausalLM, dict(num_key_value_heads=4, rope_parameters=DEFAULT_ROPE), (17, 5, 29)),
    # Wavelengths are 6.3 (below 32 / 4: kept), 14 and 30 (between: mixed), 64 and more (above 32 / 1: divided by 8).
    "llama3": (
        LlamaConfig,
        LlamaForCausalLM,
        dict(
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=256,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
        (41, 12),
    ),
    "tied": (
        LlamaConfig,
        LlamaForCausalLM,
        dict(num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 100000.0}),
        (9, 23, 14),
    ),
    # head_dim 16 is not hidden_size / heads = 8.
    "mistral": (MistralConfig, MistralForCausalLM, dict(head_dim=16, sliding_window=None, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}), (21, 8)),
    "qwen2": (
        Qwen2Config,
        Qwen2ForCausalLM,
        dict(rms_norm_eps=1e-6, use_sliding_window=False, sliding_window=None, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
        (13, 30, 6),
    ),
    "rope-linear": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}), (33, 11)),
    # The first document is longer than max_position_embeddings, the second is not.
    "rope-dynamic": (
        LlamaConfig,
        LlamaForCausalLM,
        dict(max_position_embeddings=24, rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}),
        (40, 18),
    ),
    "biases": (LlamaConfig, LlamaForCausalLM, dict(attention_bias=True, mlp_bias=True, rope_parameters=DEFAULT_ROPE), (16, 7, 25)),
}


def perturb(model, generator):
    """Random weights everywhere, so that a forgotten norm weight or bias shows: norms about 1, biases about 0.
    Logits stay near 1, so that fp32's own noise (about 1e-6 between two attention kernels) is well below 1e-5."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.3 * noise)
            elif name.endswith(".bias"):
                p.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                p.copy_(0.2 * noise)
            elif "lm_head" in name:
                p.copy_(noise * 0.7 / math.sqrt(p.shape[-1]))
            else:
                p.copy_(noise * 1.2 / math.sqrt(p.shape[-1]))


def documents(lengths, generator):
    """Random ids after bos; the first part of each document is a prompt without labels."""
    for n in lengths:
        ids = torch.cat([torch.tensor([1]), torch.randint(3, VOCABULARY, (n - 1,), generator=generator)])
        labels = ids.clone()
        labels[: max(1, n // 3)] = IGNORED
        yield ids, labels


def make(name, config_class, model_class, different, lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    config = config_class(**{**COMMON, **different})
    model = model_class(config).float().eval()
    perturb(model, generator)
    batch = list(documents(lengths, generator))
    count = sum(int((labels[1:] != IGNORED).sum()) for _, labels in batch)

    folder = GOLDEN / "arch" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)

    golden, total = {}, 0.0
    for i, (ids, labels) in enumerate(batch):
        # Dynamic scaling keeps state between calls in transformers: a fresh model for each document, gradients summed.
        fresh = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        logits = fresh(input_ids=ids[None], use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=IGNORED, reduction="sum") / count
        loss.backward()
        total += loss.item()
        golden |= {f"document.{i}.input_ids": ids, f"document.{i}.labels": labels, f"document.{i}.logits": logits.detach().contiguous()}
        for parameter, p in fresh.named_parameters():
            key = f"gradient.{parameter}"
            golden[key] = golden[key] + p.grad if key in golden else p.grad.clone()
    for key, value in golden.items():
        assert not value.is_floating_point() or (value.isfinite().all() and value.abs().max() > 0), f"{name}: {key} is zero or not finite"
    save_file(golden, folder / "golden.safetensors", metadata={"format": "pt"})
    write_json(folder / "golden.json", {"versions": versions("torch", "transformers", "safetensors"), "documents": len(batch), "label_tokens": count, "loss": total})
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: loss {total:.6f} over {count} label tokens, {model.num_parameters()} parameters, {size / 1000:.0f} kB")
    return size


def main():
    size = sum(make(name, *what, seed=100 + i) for i, (name, what) in enumerate(ARCHITECTURES.items()))
    print(f"all: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
