"""Reference values of generation: `golden/generation/`.

processors.json   what transformers' logits processors leave of random logits, under several settings
metrics.json      corpus BLEU of sacrebleu, tokenizers 13a and zh, of hard cases
greedy.json       greedy continuations of the project's own model with repetition penalty and a least length
reference.json    the same of the shared folder's model, plain, 64 prompts (SFT_SHARED, else ../shared)
"""
import os
from pathlib import Path

from common import GOLDEN, ROOT, alpaca_prompt, greedy, read_rows, torch_on_one_thread, versions, write_json_compact

torch = torch_on_one_thread()
import sacrebleu
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

OUT = GOLDEN / "generation"
SETTINGS = [
    dict(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0),
    dict(temperature=0.7, top_k=0, top_p=0.9, repetition_penalty=1.0),
    dict(temperature=1.3, top_k=5, top_p=1.0, repetition_penalty=1.0),
    dict(temperature=0.5, top_k=12, top_p=0.8, repetition_penalty=1.2),
    dict(temperature=2.0, top_k=1, top_p=0.3, repetition_penalty=0.8),
    dict(temperature=1.0, top_k=0, top_p=0.05, repetition_penalty=1.5),
    dict(temperature=1.0, top_k=64, top_p=0.999, repetition_penalty=1.1),
]

# answer, reference: empty answers, numbers with commas, ties, CJK, unicode, entities, dashes
PAIRS = [
    ("The cat sat on the mat.", "The cat sat on the mat."),
    ("the the the the the", "The cat is on the mat, the mat."),
    ("", "Nothing was said here."),
    ("It costs 1,234.50 dollars, not 1,234,567.", "It costs 1,234.50 dollars, not 1,234,568."),
    ("A well-known 3-day &amp; 4-night trip &quot;x&quot;", 'A well-known 3-day & 4-night trip "x"'),
    ("Line one-\nline two\nline three", "Line one line two line three"),
    ("Él dijo: “¡Hola!” — y se fue…", "Él dijo: “¡Hola!” – y se fue..."),
    ("今天天气很好，我们去公园吧。", "今天天气真好，我们去公园玩吧。"),
    ("GPU加速3.5倍（约）。", "GPU 加速 3.5 倍（约）。"),
    ("🙂🙂 ok 👍", "🙂 ok 👍👍"),
    ("a b", "a b c d e f"),
    ("x = {y[0]: 'z'}; f(a/b) <skipped> @home #1 50% ~/.rc", "x = {y[0]: 'z'}; f(a / b) @home # 1 50 % ~/.rc"),
    ("\u00a0nbsp\u3000wide  spaces \t end \n", "nbsp wide spaces end"),
    ("𠀀𠀁 rare 〇 ａｂ", "𠀀 rare 〇 ａｂ"),
]


def processors():
    generator = torch.Generator().manual_seed(7)
    cases = []
    for i, s in enumerate(SETTINGS):
        logits = (torch.randn(1, 64, generator=generator) * 2.5).round(decimals=3)
        if i == 2:
            logits[0, 10:14] = logits[0].topk(5).values[-1]  # ties at the border of top-k
        text = torch.randint(0, 64, (1, 9), generator=generator)
        chain = LogitsProcessorList()
        if s["repetition_penalty"] != 1:
            chain.append(RepetitionPenaltyLogitsProcessor(s["repetition_penalty"]))
        if s["temperature"] != 1:
            chain.append(TemperatureLogitsWarper(s["temperature"]))
        if s["top_k"]:
            chain.append(TopKLogitsWarper(s["top_k"]))
        if s["top_p"] < 1:
            chain.append(TopPLogitsWarper(s["top_p"]))
        probabilities = chain(text, logits.clone()).softmax(-1)[0]
        cases.append({**s, "logits": logits[0].tolist(), "text": text[0].tolist(), "probabilities": probabilities.tolist()})
    write_json_compact(OUT / "processors.json", {"versions": versions("torch", "transformers"), "cases": cases})


def metrics():
    def score(pairs, tokenize):
        return sacrebleu.corpus_bleu([p[0] for p in pairs], [[p[1] for p in pairs]], tokenize=tokenize).score

    sets = [PAIRS, *([p] for p in PAIRS), PAIRS[7:9], PAIRS[2:3] * 2]
    cases = [{"pairs": pairs, "13a": score(pairs, "13a"), "zh": score(pairs, "zh")} for pairs in sets]
    write_json_compact(OUT / "metrics.json", {"versions": versions("sacrebleu"), "cases": cases})


def continuations(model, tokenizer, rows, new_tokens, **settings):
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
            output_scores=True,
            **settings,
        )
        margin = min(float(top[0] - top[1]) for top in (step[0].float().topk(2).values for step in out.scores))
        made.append({"prompt_ids": prompt, "new_ids": out.sequences[0, len(prompt) :].tolist(), "smallest_margin": margin})
    return made


def main():
    processors()
    metrics()
    base = GOLDEN / "base"
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    settings = dict(repetition_penalty=1.3, min_new_tokens=20)
    rows = continuations(model, tokenizer, read_rows(count=16), 32, **settings)
    write_json_compact(
        OUT / "greedy.json", {"versions": versions("torch", "transformers"), "max_new_tokens": 32, **settings, "rows": rows}
    )
    shared = Path(os.environ.get("SFT_SHARED", ROOT / ".." / "shared")) / "reference" / "base"
    model = AutoModelForCausalLM.from_pretrained(shared, dtype=torch.float32).eval()
    rows = greedy(model, AutoTokenizer.from_pretrained(shared), read_rows(count=64), 48)
    write_json_compact(OUT / "reference.json", {"versions": versions("torch", "transformers"), "max_new_tokens": 48, "rows": rows})


if __name__ == "__main__":
    main()
