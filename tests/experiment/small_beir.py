"""A BEIR folder of a few documents and queries."""

import json
from collections.abc import Mapping
from pathlib import Path


def write_beir(
    folder: Path,
    corpus: Mapping[str, str | tuple[str, str]],
    queries: Mapping[str, str] | None = None,
    **judgments: Mapping[str, Mapping[str, int]],
) -> Path:
    """corpus: name → text, or title and text. judgments: split → query → document → grade."""
    (folder / "qrels").mkdir(parents=True)
    rows = []
    for name, text in corpus.items():
        title, text = ("", text) if isinstance(text, str) else text
        rows.append({"_id": name, "title": title, "text": text})
    _write(folder / "corpus.jsonl", rows)
    asked = queries or {}
    _write(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in asked.items()])
    for split, judged in judgments.items():
        lines = ["query-id\tcorpus-id\tscore"]
        lines += [f"{q}\t{d}\t{grade}" for q, found in judged.items() for d, grade in found.items()]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
