"""transformers' generate on prompts of Alpaca rows, timed: what `scripts/compare-generate` compares with.

Arguments: model, rows (JSON Lines), output (JSON), new tokens, texts at a time, threads.
"""
import json
import sys
import time

from common import alpaca_prompt, read_rows

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder, rows, output, new_tokens, texts, threads):
    new_tokens, texts = int(new_tokens), int(texts)
    torch.set_num_threads(int(threads))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [tokenizer(alpaca_prompt(row))["input_ids"] for row in read_rows(rows)]
    answers, margins = [], []

    def answer(batch, logits=False):
        longest = max(len(p) for p in batch)
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in batch])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch])
        return longest, model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=0,
            return_dict_in_generate=logits,
            output_scores=logits,
        )

    with torch.inference_mode():
        answer(prompts[:1])  # what is made once
        began = time.perf_counter()
        for at in range(0, len(prompts), texts):
            longest, out = answer(prompts[at : at + texts])
            answers += [tokenizer.decode(row[longest:], skip_special_tokens=True) for row in out]
        seconds = time.perf_counter() - began
        for at in range(0, len(prompts), texts):
            _, out = answer(prompts[at : at + texts], logits=True)
            top = torch.stack([step.float().topk(2).values for step in out.scores])  # (steps, texts, 2)
            margins += (top[..., 0] - top[..., 1]).min(0).values.tolist()
    json.dump(
        {"tokens_per_second": len(prompts) * new_tokens / seconds, "answers": answers, "margins": margins},
        open(output, "w"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
