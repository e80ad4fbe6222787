"""Renderings of chat templates by Jinja2 as transformers sets it up, for the tests of org.sftnative.template.

Run from the repository's root: python3 scripts/golden/templates.py
Needs transformers, jinja2 and trl; their versions are in the files. Of trl's templates only hashes are kept.
"""
import datetime
import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path

import transformers.utils.chat_template_utils as utils

from common import GOLDEN, ROOT, versions
from template_cases import CONTEXT, CONVERSATIONS, ERRORS, EXPRESSIONS, STATEMENTS, VARIABLES

OUT = GOLDEN / "templates"
BUILT_IN = ROOT / "src" / "main" / "resources" / "org" / "sftnative" / "template"


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 6, 9, 5, 3)


utils.datetime = Fixed


def one_a_line(pairs):
    return ",\n".join(f"    {json.dumps(k, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False)}" for k, v in pairs)


def write(name, head, key, pairs):
    lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in head.items()]
    lines.append(f"  {json.dumps(key)}: {{\n{one_a_line(pairs)}\n  }}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def piece(source):
    """The text, or None for an error of whatever kind."""
    try:
        return utils._compile_jinja_template(source).render(**CONTEXT)
    except Exception:
        return None


def conformance():
    sources = ["{{ " + e + " }}" for e in EXPRESSIONS] + STATEMENTS
    pairs = [(source, piece(source)) for source in dict.fromkeys(sources)]
    failing = [source for source, text in pairs[: len(EXPRESSIONS)] if text is None]
    if failing:
        print("expressions that fail in Jinja2:", *failing, sep="\n  ")
    pairs += [(source, piece(source)) for source in ("{{ " + e + " }}" for e in ERRORS)]
    passing = [source for source, text in pairs[-len(ERRORS) :] if text is not None]
    if passing:
        print("errors that are none in Jinja2:", *passing, sep="\n  ")
    write("conformance.json", {"versions": versions("jinja2", "transformers"), "context": CONTEXT}, "pieces", pairs)
    return len(pairs)


def render(source, conversation, prompt):
    """Text and generation spans (code points, none of them empty), or None for an error."""
    try:
        rendered, spans = utils.render_jinja_template(
            [conversation["messages"]],
            tools=conversation.get("tools"),
            documents=conversation.get("documents"),
            chat_template=source,
            add_generation_prompt=prompt,
            return_assistant_tokens_mask="generation" in source,
            **VARIABLES,
            **conversation.get("variables", {}),
        )
        return {"text": rendered[0], "generation": [list(s) for s in (spans or [[]])[0] if s[0] < s[1]]}
    except Exception:
        return None


def cases(source):
    for name, conversation in CONVERSATIONS.items():
        for prompt in (False, True):
            yield name + (" prompt" if prompt else ""), render(source, conversation, prompt)


def own():
    pairs = []
    for folder, files in (("built-in", BUILT_IN), ("own", OUT / "own")):
        for file in sorted(files.glob("*.jinja")):
            source = file.read_text(encoding="utf-8")
            pairs += [(f"{folder}/{file.stem} {name}", made) for name, made in cases(source)]
    head = {"versions": versions("jinja2", "transformers"), "variables": VARIABLES, "conversations": CONVERSATIONS}
    write("renderings.json", head, "renderings", pairs)
    return len(pairs)


def sha256(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def trl():
    pairs = []
    folder = Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"
    for file in sorted(folder.glob("*.jinja")):
        source = file.read_bytes().decode("utf-8")
        made = {
            name: r and {"sha256": sha256(r["text"])[:32], "length": len(r["text"]), "generation": r["generation"]}
            for name, r in cases(source)
        }
        pairs.append((file.name, {"sha256": sha256(source), "renderings": made}))
    head = {"versions": versions("jinja2", "transformers"), "package": "trl", "version": importlib.metadata.version("trl")}
    write("trl.json", head, "files", pairs)
    return sum(len(p[1]["renderings"]) for p in pairs)


if __name__ == "__main__":
    print(conformance(), "pieces,", own(), "renderings of our own templates,", trl(), "of trl's")
