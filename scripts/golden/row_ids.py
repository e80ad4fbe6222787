"""Small tokenizers of each kind that LLaMA-family models have, and the ids that transformers makes with them.

Writes src/test/resources/golden/tokenizers/NAME/ (tokenizer.json, tokenizer_config.json, golden.json) from the text in
this file. golden.json: `texts` with `ids` (tok(text)), `plain` (add_special_tokens=False), `decoded`
and `decoded_skipping`; `rows` with `completion` and `full`, as the reference program encodes Alpaca rows at MAX_LENGTH.

With a folder of reference files (base and llama2-tokenizer in reference/, alpaca_*_demo.json in data/), also writes
src/test/resources/golden/tokenizers/reference.json: for tokenizer, file and mode, a CRC-32 of each row's
token ids followed by its labels, both as little-endian int32, at max_length 512; `dropped` are rows without a label.

Run from the project root: python3 scripts/golden/row_ids.py [FOLDER]
"""
import json
import os
import pathlib
import shutil
import struct
import sys
import zlib

os.environ["HF_HUB_OFFLINE"] = "1"
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

OUT = pathlib.Path("src/test/resources/golden/tokenizers")
MAX_LENGTH = 48
IGNORED = -100

CORPUS = [
    "### Instruction:\nName the colours of a traffic light.\n\n### Input:\n\n\n### Response:\nRed, amber and green.",
    "### Instruction:\nAdd the numbers.\n\n### Input:\n12 and 30\n\n### Response:\nThe sum of 12 and 30 is 42.",
    "### Instruction:\nWrite a short poem about rain.\n\n### Input:\n\n\n### Response:\nThe rain sings on the roof all night; in the morning the garden answers.",
    "### Instruction:\n把句子翻译成中文。\n\n### Input:\nThe sky is blue.\n\n### Response:\n天空是蓝色的。",
    "### Instruction:\n用一句话介绍长城。\n\n### Input:\n\n\n### Response:\n长城是中国古代的伟大工程。",
    "A small boat crossed the wide river while the children counted the birds above the water.",
    "When the baker opened the shop, the smell of bread went down the street and woke the town.",
]
TEXTS = [
    "",
    " ",
    "a",
    "The rain sings.",
    " leading blank",
    "  two leading blanks",
    "trailing blank ",
    "tab\tnew\nline\r\nreturn",
    "天空是蓝色的。長城",
    "emoji 🙂👩‍👩‍👧 and flags 🇨🇭",
    "e\u0301 against \u00e9, ﬁ ligature, \u1100\u1161",
    "\ufeffmark \u200bjoin \u0000nul",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ∑∞ ½",
    "12345 3.14 1,000,000",
    "<s>inside</s> the text <|im_end|> and <unk>",
    "<tool_call>{}</tool_call>",
]
ROWS = [
    {"instruction": "Name the colours of a traffic light.", "input": "", "output": "Red, amber and green."},
    {"instruction": "Add the numbers.", "output": "The sum of 12 and 30 is 42."},
    {"instruction": "把句子翻译成中文。", "input": "The sky is blue.", "output": "天空是蓝色的。"},
    {"instruction": "Copy.", "input": "a b", "output": " leading blank and 🙂"},
    {"instruction": "Write.", "input": "", "output": "The rain sings on the roof all night. " * 6},
    {"instruction": "The children counted the birds above the wide river. " * 6, "input": "", "output": "Yes."},
    {"instruction": "Say nothing.", "input": "", "output": ""},
]


def bos_template(bos, bos_id):
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, bos_id)])


def bytelevel():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<|im_end|>"]
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    tok.post_processor = bos_template("<s>", 1)
    return json.loads(tok.to_str()), {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def qwen():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(words), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tok.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    return json.loads(tok.to_str()), {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": {"__type": "AddedToken", "content": "<|im_end|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}, "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "add_bos_token": False}


def metaspace(normalizer, config):
    """Llama 2's kind: characters with byte fallback, a blank written before the text."""
    tok = Tokenizer(models.BPE(fuse_unk=True, byte_fallback=True))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=True)
    special = ["<unk>", "<s>", "</s>"]
    base = special + [f"<0x{b:02X}>" for b in range(256)]
    # merges of words: the trainer would otherwise merge whole sentences
    tok.train_from_iterator(CORPUS[:3] + CORPUS[5:], trainers.BpeTrainer(vocab_size=420, special_tokens=base, show_progress=False))
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.post_processor = bos_template("<s>", 1)
    state = json.loads(tok.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in special]
    if normalizer:
        state["pre_tokenizer"] = None
        state["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    else:
        state["pre_tokenizer"]["split"] = False
    return state, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False, **config}


def with_eos():
    """A tokenizer that ends a text with EOS by itself."""
    state, config = bytelevel()
    state["post_processor"]["single"].append({"SpecialToken": {"id": "</s>", "type_id": 0}})
    state["post_processor"]["special_tokens"]["</s>"] = {"id": "</s>", "ids": [2], "tokens": ["</s>"]}
    return state, config


def no_post_processor():
    """What transformers 5 does with add_bos_token where tokenizer.json adds nothing: nothing."""
    state, config = bytelevel()
    state["post_processor"] = None
    return state, {**config, "add_bos_token": True}


KINDS = {
    "bytelevel": bytelevel,
    "qwen": qwen,
    "metaspace": lambda: metaspace(False, {"tokenizer_class": "LlamaTokenizer", "legacy": False}),
    "metaspace-normalizer": lambda: metaspace(True, {"tokenizer_class": "LlamaTokenizer", "legacy": False}),
    "metaspace-legacy": lambda: metaspace(True, {"tokenizer_class": "LlamaTokenizerFast", "legacy": True}),
    "metaspace-fast": lambda: metaspace(True, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "with-eos": with_eos,
    "no-post-processor": no_post_processor,
}


def encode(tok, row, mode, max_length):
    """One row to (ids, labels), as the reference program does."""
    prompt = f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row.get('input', '')}\n\n### Response:\n"
    if mode == "full":
        ids = tok(prompt + row["output"], truncation=True, max_length=max_length)["input_ids"]
        return ids, [IGNORED] + ids[1:]  # the shift drops the first label anyway
    given = tok(prompt)["input_ids"]
    ids = given + tok(row["output"], add_special_tokens=False)["input_ids"] + [tok.eos_token_id]
    labels = [IGNORED] * len(given) + ids[len(given):]
    return ids[:max_length], labels[:max_length]


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def versions():
    return {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}


def small():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, make in KINDS.items():
        state, config = make()
        directory = OUT / name
        write_json(directory / "tokenizer.json", state)
        write_json(directory / "tokenizer_config.json", config)
        tok = AutoTokenizer.from_pretrained(directory)
        texts = []
        for text in TEXTS:
            ids = tok(text)["input_ids"]
            texts.append({"text": text, "ids": ids, "plain": tok(text, add_special_tokens=False)["input_ids"], "decoded": tok.decode(ids), "decoded_skipping": tok.decode(ids, skip_special_tokens=True)})
        rows = []
        for row in ROWS:
            both = {mode: dict(zip(("ids", "labels"), encode(tok, row, mode, MAX_LENGTH))) for mode in ("completion", "full")}
            rows.append({"row": row, **both})
        special = {"bos": tok.bos_token_id, "eos": tok.eos_token_id, "pad": tok.pad_token_id, "vocabulary": len(tok)}
        write_json(directory / "golden.json", {"versions": versions(), "max_length": MAX_LENGTH, "special": special, "texts": texts, "rows": rows})
        print(name, type(tok).__name__, special)


def reference(folder):
    sums = {}
    for kind in ("base", "llama2-tokenizer"):
        tok = AutoTokenizer.from_pretrained(folder / "reference" / kind)
        for file in ("alpaca_en_demo.json", "alpaca_zh_demo.json"):
            for mode in ("completion", "full"):
                encoded = [encode(tok, row, mode, 512) for row in json.loads((folder / "data" / file).read_text(encoding="utf-8"))]
                packed = [struct.pack(f"<{2 * len(ids)}i", *ids, *labels) for ids, labels in encoded]
                key = f"{kind} {file} {mode}"
                sums[key] = {"rows": len(encoded), "dropped": [i + 1 for i, (_, labels) in enumerate(encoded) if set(labels) == {IGNORED}], "crc32": [zlib.crc32(p) for p in packed]}
                print(key, sums[key]["rows"], "rows, without labels:", sums[key]["dropped"])
    write_json(OUT / "reference.json", {"versions": versions(), **sums})


small()
if len(sys.argv) > 1:
    reference(pathlib.Path(sys.argv[1]))
