"""Trains the project's tokenizer on the project's own text: byte-level BPE, 2,048 ids, Llama's ids for unk, bos and eos.

Reads scripts/golden/corpus.txt and data/quickstart.jsonl, writes models/tokenizer/.
The same text and version of `tokenizers` give the same bytes: training has no randomness.
Run from the project root: python3 scripts/golden/tokenizer.py
"""
import json
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from common import ROWS, TOKENIZER, alpaca_prompt, read_rows, write_json

VOCABULARY = 2048
SPECIAL = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]

# Turns end in eos; only the assistant's text and its eos stand inside the generation tags.
CHAT_TEMPLATE = """{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' or message.role == 'user' %}
        {{- '<|' + message.role + '|>\\n' + message.content + eos_token }}
    {%- elif message.role == 'assistant' %}
        {{- '<|assistant|>\\n' }}
        {%- generation %}
            {{- message.content + eos_token }}
        {%- endgeneration %}
    {%- else %}
        {{- raise_exception('a message has role ' + message.role + ', but this template knows system, user and assistant') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\\n' }}
{%- endif %}"""


def text():
    for row in read_rows():
        yield alpaca_prompt(row) + row["output"]
    yield from Path(__file__).with_name("corpus.txt").read_text(encoding="utf-8").splitlines()


def main():
    rows = read_rows()
    asked = {(row["instruction"], row["input"]) for row in rows}
    assert len(asked) == len(rows), "two rows ask the same"

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        text(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            min_frequency=2,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=[AddedToken(s, special=True, normalized=False) for s in SPECIAL],
            show_progress=False,
        ),
    )
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    TOKENIZER.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(TOKENIZER / "tokenizer.json"))
    write_json(
        TOKENIZER / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "model_max_length": 1024,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    write_json(
        TOKENIZER / "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    )
    lengths = [len(tokenizer.encode(r["output"], add_special_tokens=False)) for r in rows]
    print(f"{TOKENIZER}: {VOCABULARY} ids from tokenizers {tokenizers.__version__}; {len(rows)} rows, outputs of {min(lengths)} to {max(lengths)} tokens, {sum(lengths)} in all")


if __name__ == "__main__":
    main()
