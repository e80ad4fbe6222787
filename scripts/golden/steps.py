"""The project's own small base model, and what transformers' Trainer makes of it in 20 steps under various settings.

Writes src/test/resources/golden/base/ (a LLaMA of 0.7M parameters, bf16, trained a little on data/quickstart.jsonl so that
losses are not random; with it encode.json and generate.json) and src/test/resources/golden/steps/RUN.json: the settings
and, for each step, transformers' loss, gradient norm before clipping and learning rate, unrounded; `final_loss` is the
loss of the trained weights on the run's rows.
Run from the project root: python3 scripts/golden/steps.py           base model and all runs
                           python3 scripts/golden/steps.py RUN ...   these runs alone, from the base model that is there
"""
import math
import random
import shutil
import sys
import tempfile

from common import GOLDEN, IGNORED, TOKENIZER, encode, greedy, mean_loss, read_rows, torch_on_one_thread, versions, write_json_compact

torch = torch_on_one_thread()
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

BASE = GOLDEN / "base"
VERSIONS = versions("torch", "transformers", "tokenizers", "accelerate")
STEPS = 20
DEFAULTS = dict(
    rows=160,
    loss="completion",
    max_length=512,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=4,
    learning_rate=5e-4,
    lr_scheduler_type="linear",
    warmup_steps=0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    adam_beta1=0.9,
    adam_beta2=0.999,
    adam_epsilon=1e-8,
    precision="fp32",
)
# 160 rows are ten steps of 16, so each run crosses an epoch. 42 rows are steps of 16, 16 and 10, the last batch of 2.
RUNS = {
    "4x4-linear": {},
    "16x1-linear": dict(per_device_train_batch_size=16, gradient_accumulation_steps=1),
    "2x8-linear": dict(per_device_train_batch_size=2, gradient_accumulation_steps=8),
    "4x4-cosine-warmup": dict(lr_scheduler_type="cosine", warmup_steps=4),
    "16x1-cosine-warmup-decay": dict(per_device_train_batch_size=16, gradient_accumulation_steps=1, lr_scheduler_type="cosine", warmup_steps=4, weight_decay=0.1),
    "2x8-linear-warmup-decay": dict(per_device_train_batch_size=2, gradient_accumulation_steps=8, warmup_steps=4, weight_decay=0.1),
    "4x4-short-last-step": dict(rows=42),
    "16x1-full-short-last-step": dict(rows=42, loss="full", per_device_train_batch_size=16, gradient_accumulation_steps=1),
    "4x4-full": dict(loss="full"),
    "4x4-full-truncated": dict(loss="full", max_length=32),
    "4x4-constant": dict(lr_scheduler_type="constant"),
    "4x4-constant-warmup": dict(lr_scheduler_type="constant_with_warmup", warmup_steps=4),
    "4x4-cosine-min-lr": dict(lr_scheduler_type="cosine_with_min_lr", warmup_steps=4, min_lr_rate=0.1),
    "4x4-warmup-ratio": dict(lr_scheduler_type="cosine", warmup_steps=0.12),
    "4x4-adam": dict(adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6, weight_decay=0.5, max_grad_norm=0.25),
    "4x4-no-clip": dict(max_grad_norm=0.0),
    "4x4-bf16-autocast": dict(precision="bf16-autocast"),
}


def padded(batch):
    """A batch as transformers takes it. The pad id never counts: its attention mask is 0 and its label ignored."""
    longest = max(len(ids) for ids, _ in batch)
    fill = lambda values, value: values + [value] * (longest - len(values))
    return {
        "input_ids": torch.tensor([fill(ids, 0) for ids, _ in batch]),
        "attention_mask": torch.tensor([fill([1] * len(ids), 0) for ids, _ in batch]),
        "labels": torch.tensor([fill(labels, IGNORED) for _, labels in batch]),
    }


def make_base():
    """Trains the base model on prompt and response, far from knowing them by heart, and stores it in bf16."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=3,
            num_key_value_heads=1,
            max_position_embeddings=1024,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    documents = []
    for row in read_rows():
        ids, _ = encode(tokenizer, row, "completion")
        documents.append((ids, list(ids)))
    epochs, size, order = 12, 16, random.Random(1)
    total = epochs * math.ceil(len(documents) / size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / 20, 1 - s / total))
    for _ in range(epochs):
        order.shuffle(documents)
        for at in range(0, len(documents), size):
            loss = model(**padded(documents[at : at + size]), use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    shutil.rmtree(BASE, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(BASE)
    for file in TOKENIZER.iterdir():
        shutil.copyfile(file, BASE / file.name)

    model, rows = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), read_rows()
    encoded = {loss: [dict(zip(("input_ids", "labels"), encode(tokenizer, row, loss))) for row in rows[:16]] for loss in ("completion", "full")}
    write_json_compact(BASE / "encode.json", {"versions": VERSIONS, **encoded})
    write_json_compact(BASE / "generate.json", {"versions": VERSIONS, "max_new_tokens": 24, "rows": greedy(model, tokenizer, rows[:8], 24)})
    print(f"base: {model.num_parameters()} parameters, loss {mean_loss(model, [encode(tokenizer, r, 'completion') for r in rows]):.4f}")


class InOrder(Trainer):
    def _get_train_sampler(self, *ignored, **also_ignored):
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Record(TrainerCallback):
    """Keeps what the Trainer logs at each step."""

    def __init__(self):
        self.steps = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.steps.append({"step": state.global_step, **{k: float(logs[k]) for k in ("loss", "grad_norm", "learning_rate")}})


def run(name, different):
    settings = {**DEFAULTS, **different}
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    model.config.use_cache = False
    documents = [encode(tokenizer, row, settings["loss"], settings["max_length"]) for row in read_rows(count=settings["rows"])]
    passed = {k: v for k, v in settings.items() if k not in ("rows", "loss", "max_length", "precision", "min_lr_rate")}
    if "min_lr_rate" in settings:
        passed["lr_scheduler_kwargs"] = {"min_lr_rate": settings["min_lr_rate"]}
    record = Record()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=STEPS,
            bf16=settings["precision"] == "bf16-autocast",
            optim="adamw_torch",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            seed=1,
            **passed,
        )
        InOrder(model=model, args=arguments, train_dataset=documents, data_collator=padded, callbacks=[record]).train()
    assert [s["step"] for s in record.steps] == list(range(1, STEPS + 1)), record.steps
    assert any(s["loss"] != round(s["loss"], 5) for s in record.steps), "this version of transformers rounds the loss"
    first, last = record.steps[0]["loss"], record.steps[-1]["loss"]
    final = mean_loss(model, documents)
    write_json_compact(GOLDEN / "steps" / f"{name}.json", {"versions": VERSIONS, "settings": {"max_steps": STEPS, **settings}, "final_loss": final, "steps": record.steps})
    print(f"{name}: loss {first:.4f} to {last:.4f}, gradient norm {record.steps[0]['grad_norm']:.3f}, then {final:.4f}")


def main():
    chosen = sys.argv[1:]
    if not chosen:
        make_base()
    for name in chosen or RUNS:
        run(name, RUNS[name])


if __name__ == "__main__":
    main()
