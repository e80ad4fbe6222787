"""What PEFT computes with adapters on the tiny models of architectures.py: logits, every gradient, 20 steps of AdamW.

Writes src/test/resources/golden/lora/NAME/: adapter_config.json and adapter_model.safetensors as PEFT saves them,
golden.safetensors with `document.I.logits` (n, V) and `gradient.NAME` under the names of the adapter file, and golden.json
with the model, and the loss before each of 20 updates. Documents are those of the model's own golden.safetensors, each
alone and unpadded. One thread, fixed seeds.
Run from the project root: python3 scripts/golden/adapters.py

And src/test/resources/golden/pissa.json: adapters as PiSSA begins them over one of the models, what is left of the base,
and the losses of 20 steps.

With --reference FOLDER: the same for a pretrained model, adapters and documents by formula, so that nothing large is kept:
src/test/resources/golden/reference/lora.json.
"""
import json
import math
import shutil
import sys
from pathlib import Path

from common import GOLDEN, IGNORED, encode, read_rows, torch_on_one_thread, versions, write_json

torch = torch_on_one_thread()
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

STEPS = 20
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# name: (model, what LoraConfig is told, learning rate of B / that of A)
CASES = {
    "lora": ("llama3", dict(r=4, lora_alpha=8, target_modules="all-linear"), 1),
    "some": ("biases", dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "down_proj"]), 1),
    "rslora": ("mistral", dict(r=4, lora_alpha=8, target_modules="all-linear", use_rslora=True), 1),
    "dora": ("llama3", dict(r=4, lora_alpha=8, target_modules="all-linear", use_dora=True), 1),
    "dora-biases": ("biases", dict(r=4, lora_alpha=8, target_modules=r".*\.(k_proj|o_proj|up_proj)", use_dora=True), 1),
    "patterns": (
        "llama2",
        dict(
            r=4,
            lora_alpha=8,
            target_modules=ALL,
            rank_pattern={"down_proj": 2, r"layers.0.*q_proj": 6},
            alpha_pattern={"down_proj": 3, r"1.self_attn.v_proj": 5},
        ),
        1,
    ),
    "saved": ("qwen2", dict(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"], modules_to_save=["lm_head", "embed_tokens", "norm", "input_layernorm"]), 1),
    "plus": ("llama2", dict(r=4, lora_alpha=8, target_modules="all-linear"), 16),
}


def randomise(model, generator):
    """Values everywhere, so that nothing is zero that a fault could hide behind."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.5 / math.sqrt(p.shape[-1]))
            elif "magnitude" in name:
                p.mul_(1 + 0.2 * torch.randn(p.shape, generator=generator))
            elif p.requires_grad:
                p.add_(0.05 * torch.randn(p.shape, generator=generator))


def by_formula(model):
    """A, B and magnitudes as a function of their place: LoraReferenceTest computes them again."""
    with torch.no_grad():
        state = get_peft_model_state_dict(model)
        for i, name in enumerate(sorted(state)):
            t = state[name]
            n = torch.arange(t.numel(), dtype=torch.float64)
            wave = torch.sin(n * 0.7 + i).float().reshape(t.shape)
            if "magnitude" in name:
                t.mul_(1 + 0.1 * wave)
            else:
                t.copy_(0.02 * wave)


def gradients(model):
    """The gradients under the names of an adapter file."""
    held = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for n, p in model.named_parameters():
            if p.requires_grad:
                p.copy_(p.grad)
        state = {k: v.clone() for k, v in get_peft_model_state_dict(model, save_embedding_layers=False).items()}
        for n, p in model.named_parameters():
            if p.requires_grad:
                p.copy_(held[n])
    return state


def loss_of(model, documents, count, logits=None):
    """The sum over label tokens / their number, document by document, with its gradient."""
    total = 0.0
    for ids, labels in documents:
        out = model(input_ids=ids[None], use_cache=False).logits[0]
        if logits is not None:
            logits.append(out.detach().clone())
        loss = torch.nn.functional.cross_entropy(out[:-1], labels[1:], ignore_index=IGNORED, reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total


def train(model, documents, count, rate, ratio):
    """The loss before each update; AdamW with torch's defaults but no weight decay, clipping to 1."""
    b = [p for n, p in model.named_parameters() if p.requires_grad and "lora_B" in n]
    others = [p for n, p in model.named_parameters() if p.requires_grad and "lora_B" not in n]
    optimizer = torch.optim.AdamW([{"params": others, "lr": rate}, {"params": b, "lr": rate * ratio}], weight_decay=0)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses.append(loss_of(model, documents, count))
        torch.nn.utils.clip_grad_norm_(others + b, 1.0)
        optimizer.step()
    return losses


def wrapped(folder, config):
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **config)).eval()


def documents_of(golden):
    documents = []
    while f"document.{len(documents)}.input_ids" in golden:
        i = len(documents)
        documents.append((golden[f"document.{i}.input_ids"], golden[f"document.{i}.labels"]))
    return documents


def tiny(name, model_name, config, ratio, seed):
    source = GOLDEN / "arch" / model_name
    golden = load_file(source / "golden.safetensors")
    documents = documents_of(golden)
    count = sum(int((labels[1:] != IGNORED).sum()) for _, labels in documents)
    model = wrapped(source, config)
    randomise(model, torch.Generator().manual_seed(seed))
    folder = GOLDEN / "lora" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()
    adapter_config = json.loads((folder / "adapter_config.json").read_text())
    adapter_config["base_model_name_or_path"] = model_name
    if isinstance(adapter_config["target_modules"], list):
        adapter_config["target_modules"].sort()
    write_json(folder / "adapter_config.json", adapter_config)
    logits = []
    loss_of(model, documents, count, logits)
    made = {f"document.{i}.logits": v.contiguous() for i, v in enumerate(logits)}
    for key, value in gradients(model).items():
        assert value.isfinite().all() and value.abs().max() > 0, f"{name}: {key}"
        made[f"gradient.{key}"] = value.contiguous()
    save_file(made, folder / "golden.safetensors", metadata={"format": "pt"})
    losses = train(model, documents, count, 2e-3, ratio)
    write_json(folder / "golden.json", {"versions": versions("torch", "transformers", "peft"), "model": model_name, "learning_rate": 2e-3, "ratio": ratio, "losses": losses})
    print(f"{name}: {losses[0]:.6f} -> {losses[-1]:.6f}")


def pissa():
    source = GOLDEN / "arch" / "llama3"
    golden = load_file(source / "golden.safetensors")
    documents = documents_of(golden)
    count = sum(int((labels[1:] != IGNORED).sum()) for _, labels in documents)
    config = dict(r=4, lora_alpha=6, rank_pattern={"down_proj": 2}, alpha_pattern={"v_proj": 5})
    model = wrapped(source, dict(target_modules=ALL, init_lora_weights="pissa", **config))
    began = {}
    for name, p in model.named_parameters():
        if "lora_" in name:
            began[name.replace(".default", "")] = p.detach().double().norm().item()
        elif name.endswith("base_layer.weight"):
            began[name] = [p.detach().double().norm().item(), *p.detach().flatten()[:4].tolist()]
    losses = train(model, documents, count, 2e-3, 1)
    made = {"versions": versions("torch", "transformers", "peft"), "model": "llama3", **config, "learning_rate": 2e-3, "began": began, "losses": losses}
    write_json(GOLDEN / "pissa.json", made)
    print(f"pissa: {losses[0]:.6f} -> {losses[-1]:.6f}")


def reference(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    documents = [tuple(map(torch.tensor, encode(tokenizer, row, "completion"))) for row in read_rows(count=4)]
    count = sum(int((labels[1:] != IGNORED).sum()) for _, labels in documents)
    cases = {}
    for name, options in {"lora": {}, "rslora": dict(use_rslora=True), "dora": dict(use_dora=True)}.items():
        model = wrapped(folder / "base", dict(r=8, lora_alpha=16, target_modules="all-linear", **options))
        by_formula(model)
        logits = []
        loss_of(model, documents, count, logits)
        cases[name] = {
            "last_logits": [v[-1, :64].tolist() for v in logits],
            "gradients": {k: [v.double().norm().item(), *v.flatten()[:4].tolist()] for k, v in sorted(gradients(model).items())},
            "losses": train(model, documents, count, 1e-3, 1),
        }
        print(name, cases[name]["losses"][0], cases[name]["losses"][-1])
    target = GOLDEN / "reference" / "lora.json"
    made = [{"ids": ids.tolist(), "labels": labels.tolist()} for ids, labels in documents]
    target.write_text(json.dumps({"documents": made, "versions": versions("torch", "transformers", "peft"), "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--reference"]:
        reference(Path(sys.argv[2]))
    else:
        for seed, (name, case) in enumerate(CASES.items()):
            tiny(name, *case, seed=300 + seed)
        pissa()
