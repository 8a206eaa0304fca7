"""The texts of a corpus: a BEIR folder, JSON lines, or files of plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siftline.errors import Place, UsageError
from siftline.lines import read_lines, read_rows

#: Files of a folder that are read as plain text.
PLAIN = (".txt", ".md")

#: The corpus file of a BEIR folder.
BEIR_FILES = ("corpus.jsonl", "corpus.jsonl.gz")


def read_corpus(path: Path) -> Iterator[str]:
    """The documents of a corpus, one text each, as a stream.

    A folder with a BEIR corpus, or else all its JSON lines and plain texts, also in folders below,
    in order of their names. A row of JSON lines is its title and text, joined by a space. In a
    plain text, an empty line ends a document. Names ending in .gz are gzipped. UsageError names
    the file and the line of a row without text.
    """
    for file in corpus_files(path):
        kind = Path(file.name.removesuffix(".gz")).suffix
        if kind in (".jsonl", ".json"):
            yield from (_text(row, place) for place, row in read_rows(file))
        else:
            yield from _paragraphs(file)


def corpus_files(path: Path) -> list[Path]:
    """The files of a corpus; UsageError where there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"there is no corpus at '{path}'")
    for name in BEIR_FILES:
        if (path / name).is_file():
            return [path / name]
    found = sorted(p for p in path.rglob("*") if _is_corpus(p))
    if not found:
        raise UsageError(
            f"'{path}' has no corpus: neither corpus.jsonl (BEIR) nor files named *.jsonl or "
            + ", ".join(f"*{suffix}" for suffix in PLAIN)
        )
    return found


def _is_corpus(path: Path) -> bool:
    kind = Path(path.name.removesuffix(".gz")).suffix
    return kind in (".jsonl", *PLAIN) and path.is_file()


def _text(row: Any, place: Place) -> str:
    if isinstance(row, str):
        return row
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise UsageError("a document of a corpus has a 'text'", place)
    title = row.get("title")
    return f"{title} {text}" if isinstance(title, str) and title else text


def _paragraphs(path: Path) -> Iterator[str]:
    lines: list[str] = []
    for _, line in read_lines(path, blank=True):
        if line.strip():
            lines.append(line.strip())
        elif lines:
            yield " ".join(lines)
            lines.clear()
    if lines:
        yield " ".join(lines)
