"""Conversations as transformers encodes them: ids and assistant masks of apply_chat_template, for the built-in templates.

Reads the built-in templates, models/tokenizer and the rows below; writes src/test/resources/golden/chat-masks.json.
With a shared folder (SFT_SHARED, else ../shared) it also writes golden/chat-masks-reference.json: CRC-32 of ids and
mask of rows of its data whose roles alternate, from the user on; no text.
Run from the project root: python3 scripts/golden/chat_masks.py
"""
import binascii
import json
import os
import struct
from pathlib import Path

from common import GOLDEN, ROOT, TOKENIZER, versions, write_json_compact

TEMPLATES = ROOT / "src" / "main" / "resources" / "org" / "sftnative" / "template"
NAMES = ["alpaca", "tutorial-chat", "chatml", "llama2", "llama3", "mistral", "zephyr"]
ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


def turns(*texts, system=None):
    roles = ["user", "assistant"]
    messages = [{"role": roles[i % 2], "content": t} for i, t in enumerate(texts)]
    return ([{"role": "system", "content": system}] if system else []) + messages


ROWS = [
    turns("What colour is the sky?", "Blue."),
    turns("天空是什么颜色？", "天空是蓝色的，因为空气散射阳光。"),
    turns("🙂🇨🇭 emoji before the answer 👩‍👩‍👧", "And 🎉 in it.", "Again 🙃?", "Ja 👍🏽."),
    turns("one", "two", "three", "four", "five", "six", system="Answer in one word."),
    turns("你好", "您好！有什么可以帮您？", "再见", "再见！", system="你是助手。"),
    turns("Two\nlines\r\nhere", "  leading and trailing blanks  ", "e\u0301 and é", "\n\nNew lines first\n"),
    turns("Code?", "```java\nint x = 0;\n\tx++;\n```"),
]


def load(path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(path))


def encode(tokenizer, messages, template):
    made = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return made["input_ids"], made["assistant_masks"]


def crc(ids, mask):
    return binascii.crc32(struct.pack(f"<{2 * len(ids)}i", *ids, *mask))


def chats(shared):
    """Rows of the shared folder as lists of messages, with their file and number."""
    for number, row in enumerate(json.loads((shared / "data/glaive_toolcall_en_demo.json").read_text("utf-8")), 1):
        if all(t["from"] in ROLES for t in row["conversations"]):
            yield "glaive_toolcall_en_demo.json", number, [
                {"role": ROLES[t["from"]], "content": t["value"]} for t in row["conversations"]
            ]
    for number, line in enumerate((shared / "data/v1_sft_demo.jsonl").read_text("utf-8").splitlines(), 1):
        yield "v1_sft_demo.jsonl", number, [
            {"role": m["role"], "content": "".join(p["value"] for p in m["content"])} for m in json.loads(line)["messages"]
        ]
    for file in ["alpaca_en_demo.json", "alpaca_zh_demo.json"]:
        for number, row in enumerate(json.loads((shared / "data" / file).read_text("utf-8")), 1):
            yield file, number, turns(row["instruction"], row["output"])


def main():
    tokenizer = load(TOKENIZER)
    cases = []
    for name in NAMES:
        template = (TEMPLATES / f"{name}.jinja").read_text("utf-8")
        for row, messages in enumerate(ROWS):
            ids, mask = encode(tokenizer, messages, template)
            cases.append({"template": name, "row": row, "ids": ids, "mask": mask})
    write_json_compact(
        GOLDEN / "chat-masks.json", {"versions": versions("transformers", "tokenizers", "jinja2"), "rows": ROWS, "cases": cases}
    )
    shared = Path(os.environ.get("SFT_SHARED", ROOT.parent / "shared"))
    if not shared.is_dir():
        print(f"{shared} is not there: chat-masks-reference.json is left as it is")
        return
    cases = []
    for kind in ["base", "llama2-tokenizer"]:
        tokenizer = load(shared / "reference" / kind)
        for name in ["chatml", "llama2", "llama3", "mistral", "zephyr"]:
            template = (TEMPLATES / f"{name}.jinja").read_text("utf-8")
            files = {}
            for file, number, messages in chats(shared):
                first = messages[1] if messages[0]["role"] == "system" else messages[0]
                order = [m["role"] for m in messages if m["role"] != "system"]
                if first["role"] == "user" and order == (["user", "assistant"] * len(order))[: len(order)]:
                    if number % 10 == 1 or not file.startswith("alpaca"):
                        numbers, sums = files.setdefault(file, ([], []))
                        numbers.append(number)
                        sums.append(crc(*encode(tokenizer, messages, template)))
            cases += [[kind, name, file, *lists] for file, lists in files.items()]
    write_json_compact(
        GOLDEN / "chat-masks-reference.json", {"versions": versions("transformers", "tokenizers", "jinja2"), "cases": cases}
    )
    print(sum(len(case[3]) for case in cases), "reference cases")


if __name__ == "__main__":
    main()
