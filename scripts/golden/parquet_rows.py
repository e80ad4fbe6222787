"""Rows as Parquet files, and the same rows as JSON, for the tests of the reader.

Writes src/test/resources/golden/rows/: alpaca-COMPRESSION.parquet (flat text columns; lz4 and brotli are refused), chat-COMPRESSION.parquet
(list<struct<role, content, weight>>, a column of JSON schemas as text), history.parquet (list<list<string>>),
other.parquet (a column of bytes and one of times beside `text`), and rows.json: by file, its rows without nulls.
Also bomb-*.parquet, which are refused: a page of 200 MB, a page of 20 million values, a text of a dictionary that
stands in 10 million rows, 1 GB in all.
Files have several row groups and pages, so that both are crossed.

Run from the project root: python3 scripts/golden/parquet_rows.py
"""
import datetime
import json
import pathlib

import pyarrow
import pyarrow.parquet

OUT = pathlib.Path("src/test/resources/golden/rows")
COMPRESSIONS = ["none", "snappy", "zstd", "gzip"]
REFUSED = ["lz4", "brotli"]
COUNT = 30

WORDS = ["rain", "river", "天空", "雨", "🙂", "naïve", "line\nbreak", "\"quoted\", comma", ""]


def text(seed, length):
    return " ".join(WORDS[(seed * 7 + i * 3) % len(WORDS)] for i in range(length))


def alpaca(i):
    return {
        "instruction": f"{i}: {text(i, 1 + i % 5)}",
        "input": None if i % 3 == 0 else text(i + 1, i % 4),
        "output": text(i + 2, 2 + i % 6),
    }


def chat(i):
    turns = [{"role": "system", "content": text(i, 3), "weight": None}] if i % 4 == 0 else []
    for t in range(1 + i % 3):
        turns.append({"role": "user", "content": f"{i}.{t} " + text(i + t, 4), "weight": None})
        turns.append({"role": "assistant", "content": text(i * t, 5), "weight": None if i % 2 else t % 2})
    return {"messages": turns, "tools": None if i % 5 else '[{"name": "look_up"}]'}


def history(i):
    pairs = [[f"{i}.{t} " + text(t, 2), text(i + t, 3)] for t in range(i % 3)]
    return {"instruction": f"{i}", "output": text(i, 3), "history": pairs}


def other(i):
    return {"text": text(i, 6), "bytes": bytes([i, 255]), "at": datetime.datetime(2026, 1, 1, i % 24)}


def write(name, rows, compression, schema=None):
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    pyarrow.parquet.write_table(table, OUT / name, compression=compression, row_group_size=11, data_page_size=64)


def bomb(name, values, dictionary):
    texts = pyarrow.array(values, type=pyarrow.string())
    pyarrow.parquet.write_table(
        pyarrow.table({"text": texts.dictionary_encode() if dictionary else texts}),
        OUT / f"bomb-{name}.parquet",
        compression="zstd",
        compression_level=19,
        use_dictionary=dictionary,
        write_statistics=False,
        store_schema=False,
        data_page_size=1 << 30,
        max_rows_per_page=1 << 30,
        row_group_size=1 << 30,
    )


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    turn = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string()), ("weight", pyarrow.int32())])
    schema = pyarrow.schema([("messages", pyarrow.list_(turn)), ("tools", pyarrow.string())])
    expected = {}
    for compression in COMPRESSIONS:
        rows = [alpaca(i) for i in range(COUNT)]
        write(f"alpaca-{compression}.parquet", rows, compression)
        expected[f"alpaca-{compression}.parquet"] = rows
        rows = [chat(i) for i in range(COUNT)]
        write(f"chat-{compression}.parquet", rows, compression, schema)
        expected[f"chat-{compression}.parquet"] = rows
    for compression in REFUSED:
        write(f"alpaca-{compression}.parquet", [alpaca(0)], compression)
    expected["history.parquet"] = [history(i) for i in range(COUNT)]
    write("history.parquet", expected["history.parquet"], "snappy")
    rows = [other(i) for i in range(COUNT)]
    write("other.parquet", rows, "zstd")
    expected["other.parquet"] = [{"text": row["text"]} for row in rows]
    bomb("page", ["a" * 200_000_000], False)
    bomb("values", [None] * 20_000_000, False)
    bomb("rows", ["a" * 100] * 10_000_000, True)
    expected = {
        "versions": {"pyarrow": pyarrow.__version__},
        "rows": {name: [without_nulls(row) for row in rows] for name, rows in expected.items()},
    }
    (OUT / "rows.json").write_text(json.dumps(expected, ensure_ascii=False, indent=0) + "\n")


main()
