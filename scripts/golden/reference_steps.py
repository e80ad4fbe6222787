"""What the shared reference program makes of the shared base model and rows in 20 steps: numbers alone, for the comparison
with the Java trainer. Neither the model nor the rows are copied.

Needs the shared folder: the environment's SFT_SHARED, else ../shared. Writes src/test/resources/golden/reference/RUN.json
(settings, and each step's loss, gradient norm before clipping and learning rate, unrounded) and generate.json (greedy
continuations as token ids).
Run from the project root: python3 scripts/golden/reference_steps.py [RUN ...]
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import GOLDEN, ROOT, encode, greedy, mean_loss, read_rows, torch_on_one_thread, versions, write_json_compact

torch = torch_on_one_thread()
from transformers import AutoModelForCausalLM, AutoTokenizer

SHARED = Path(os.environ.get("SFT_SHARED", ROOT.parent / "shared"))
MODEL = SHARED / "reference" / "base"
ROWS = SHARED / "data" / "alpaca_en_demo.json"
VERSIONS = versions("torch", "transformers", "tokenizers", "accelerate")
STEPS = 20
# rows 0: all of them. 42 rows are steps of 16, 16 and 10, the last batch of 2.
DEFAULTS = {"rows": 0, "loss": "completion", "batch": 4, "accum": 4, "lr": 2e-5, "schedule": "linear", "warmup-steps": 0, "weight-decay": 0.0, "precision": "fp32"}
# Weight decay is large where there is any: 0.1 at 2e-4 would move the loss by 1e-4 only, which a test at 1e-4 can overlook.
RUNS = {
    "4x4-linear": {},
    "16x1-linear": {"batch": 16, "accum": 1},
    "2x8-linear": {"batch": 2, "accum": 8},
    "4x4-cosine-warmup": {"schedule": "cosine", "warmup-steps": 4, "lr": 2e-4},
    "16x1-cosine-warmup-decay": {"batch": 16, "accum": 1, "schedule": "cosine", "warmup-steps": 4, "weight-decay": 0.5, "lr": 1e-3},
    "4x4-short-last-step": {"rows": 42, "lr": 2e-4},
    "4x4-full": {"loss": "full", "lr": 2e-4},
    "4x4-bf16-autocast": {"precision": "bf16-autocast", "lr": 2e-4},
    "2x8-full-cosine-warmup-short-last-step": {"rows": 42, "loss": "full", "batch": 2, "accum": 8, "schedule": "cosine", "warmup-steps": 4, "lr": 2e-4},
}
# Its trained model is read back, and its loss over the first rows kept.
SAVED, SAVED_ROWS = "4x4-cosine-warmup", 64


def run(name, different):
    settings = {**DEFAULTS, **different}
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(SHARED / "reference" / "hf_sft.py"), "--model", str(MODEL), "--data", str(ROWS), "--out", out]
        command += ["--no-shuffle", "--steps", str(STEPS), "--threads", "1"] + (["--save"] if name == SAVED else [])
        for key, value in settings.items():
            command += [f"--{key}", str(value)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{name}: {' '.join(command)}\n{done.stderr[-2000:]}")
        logged = [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text().splitlines()]
        final = {}
        if name == SAVED:
            model = AutoModelForCausalLM.from_pretrained(Path(out) / "model", dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(MODEL)
            final = {"final_loss_rows": SAVED_ROWS, "final_loss": mean_loss(model, [encode(tokenizer, r, "completion") for r in read_rows(ROWS, SAVED_ROWS)])}
    steps = [{k: s[k] for k in ("step", "loss", "grad_norm", "learning_rate")} for s in logged]
    assert [s["step"] for s in steps] == list(range(1, STEPS + 1)), steps
    assert any(s["loss"] != round(s["loss"], 5) for s in steps), "this version of transformers rounds the loss"
    write_json_compact(GOLDEN / "reference" / f"{name}.json", {"versions": VERSIONS, "settings": {"max-steps": STEPS, **settings}, **final, "steps": steps})
    print(f"{name}: loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}, gradient norm {steps[0]['grad_norm']:.3f}", flush=True)


def main():
    if not (MODEL / "config.json").exists():
        sys.exit(f"{MODEL} is missing: set SFT_SHARED to the shared folder")
    chosen = sys.argv[1:] or ["generate", *RUNS]
    if "generate" in chosen:
        model, tokenizer = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32), AutoTokenizer.from_pretrained(MODEL)
        made = greedy(model, tokenizer, read_rows(ROWS, 32), 24)
        write_json_compact(GOLDEN / "reference" / "generate.json", {"versions": VERSIONS, "max_new_tokens": 24, "rows": made})
        print(f"generate: smallest margin {min(r['smallest_margin'] for r in made):.2g}", flush=True)
    for name in chosen:
        if name != "generate":
            run(name, RUNS[name])


if __name__ == "__main__":
    main()
