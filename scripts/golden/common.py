"""What the golden scripts share: paths, versions, the Alpaca encoding, and one way to write JSON.

Import it before torch does any work: it sets one thread, so that sums are taken in one order.
"""
import json
import os
import platform
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "data" / "quickstart.jsonl"
TOKENIZER = ROOT / "models" / "tokenizer"
GOLDEN = ROOT / "src" / "test" / "resources" / "golden"
IGNORED = -100


def torch_on_one_thread():
    import torch

    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    return torch


def versions(*modules):
    """Versions of python and the named modules, for the fixture that they made."""
    import importlib.metadata as metadata

    return {"python": platform.python_version(), **{m: metadata.version(m) for m in modules}}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_json_compact(path, value):
    """One line for each entry of a list, not one for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = []
    for key, v in value.items():
        text = json.dumps(v, ensure_ascii=False)
        if isinstance(v, list):
            text = "[\n    " + ",\n    ".join(json.dumps(e, ensure_ascii=False) for e in v) + "\n  ]"
        parts.append(f"  {json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def read_rows(path=ROWS, count=None):
    """Rows of a JSON array or of JSON Lines, the first `count` of them."""
    content = Path(path).read_text(encoding="utf-8")
    rows = json.loads(content) if content.lstrip().startswith("[") else [json.loads(l) for l in content.splitlines() if l]
    return rows[:count]


def alpaca_prompt(row):
    """The tutorial's template; the Input section stays when the input is empty."""
    return f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row.get('input', '')}\n\n### Response:\n"


def encode(tokenizer, row, loss, max_length=512):
    """input_ids and labels of a row. `completion`: prompt and response apart, the response and its eos are labels.
    `full`: the whole text at once, no eos, every token is a label."""
    prompt = alpaca_prompt(row)
    if loss == "full":
        ids = tokenizer(prompt + row["output"])["input_ids"]
        labels = list(ids)
    else:
        before = tokenizer(prompt)["input_ids"]
        after = tokenizer(row["output"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        ids = before + after
        labels = [IGNORED] * len(before) + after
    return ids[:max_length], labels[:max_length]


def mean_loss(model, documents):
    """Loss over all label tokens of all documents divided by their number, each document alone and unpadded."""
    import torch

    total, count = 0.0, 0
    with torch.no_grad():
        for ids, labels in documents:
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
            target = torch.tensor(labels)[1:]
            total += torch.nn.functional.cross_entropy(logits[:-1], target, ignore_index=IGNORED, reduction="sum").item()
            count += int((target != IGNORED).sum())
    return total / count


def greedy(model, tokenizer, rows, new_tokens):
    """Greedy continuations of the rows' prompts, and by how much the best logit led the second at its closest."""
    import torch

    made = []
    for row in rows:
        prompt = tokenizer(alpaca_prompt(row))["input_ids"]
        out = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
        margin = min(float(top[0] - top[1]) for top in (step[0].float().topk(2).values for step in out.logits))
        made.append({"prompt_ids": prompt, "new_ids": out.sequences[0, len(prompt) :].tolist(), "smallest_margin": margin})
    return made
