"""Files of plain text to passages: the corpus of a folder in which nobody has marked any."""

from __future__ import annotations

import filecmp
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from siftline.errors import Place, UsageError

#: Names of files that are read.
SUFFIXES = (".txt", ".md")

#: Words after which a passage ends, unless told otherwise.
WORDS = 120

#: A first line with at most so many words and no full stop is the title of a plain text.
TITLE_WORDS = 12

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_FENCE = re.compile(r"(```|~~~)")
_SENTENCE_END = re.compile(r"""[.!?]["')\]]*(?=\s+[^a-z\s])|[。！？]""")


@dataclass(frozen=True, slots=True)
class FilePassage:
    """A part of a file. id: its path in the folder and its number, `guide/start.md#2`."""

    id: str
    title: str
    text: str


def sentences(text: str) -> list[str]:
    """The sentences of a text by their full stops; what follows one begins with no small letter."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    parts = [text[start:end].strip() for start, end in pairwise([0, *ends, len(text)])]
    return [part for part in parts if part]


def read_passages(folder: Path, *, words: int = WORDS) -> Iterator[FilePassage]:
    """The passages of all `.txt` and `.md` files in a folder and below, in order of their names.

    Paragraphs, which an empty line ends, are put together until they have `words` words; one with
    more than half as many again is divided between sentences. No passage spans a heading. title:
    of the file and of the section, as `Guide: First steps`; a file's is its first heading of the
    first level or, in a plain text, a short first line with an empty one behind it. UsageError
    where there is no text, or a file is none.
    """
    if not folder.is_dir():
        raise UsageError(f"no such folder: '{folder}'")
    found = False
    for path in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES and p.is_file()):
        name = path.relative_to(folder).as_posix()
        for number, (title, text) in enumerate(_parts(path, words), 1):
            found = True
            yield FilePassage(f"{name}#{number}", title, text)
    if not found:
        raise UsageError(f"folder '{folder}' holds no text in files named *.txt or *.md")


def write_passages(folder: Path, data: Path, *, words: int = WORDS) -> int:
    """Write the passages of a folder of texts as `corpus.jsonl` in a BEIR folder; how many.

    Whole or not at all. UsageError where the BEIR folder has another corpus, as its index would
    not notice.
    """
    corpus = data / "corpus.jsonl"
    data.mkdir(parents=True, exist_ok=True)
    partial = corpus.with_name(corpus.name + ".partial")
    count = 0
    with partial.open("w", encoding="utf-8") as file:
        for one in read_passages(folder, words=words):
            row = {"_id": one.id, "title": one.title, "text": one.text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    if corpus.exists() and not filecmp.cmp(partial, corpus, shallow=False):
        partial.unlink()
        raise UsageError(f"'{corpus}' is of other texts: take another folder, or remove it")
    os.replace(partial, corpus)
    return count


def _parts(path: Path, words: int) -> Iterator[tuple[str, str]]:
    """Title and text of each passage of a file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read as a text: {error}", Place(str(path))) from None
    sections = _marked_sections(text) if path.suffix == ".md" else _plain_section(text)
    for title, paragraphs in sections:
        for passage in _joined(paragraphs, words):
            yield title, passage


def _plain_section(text: str) -> Iterator[tuple[str, list[str]]]:
    paragraphs = _paragraphs(text.splitlines())
    title = ""
    if len(paragraphs) > 1 and _is_title(paragraphs[0], text):
        title = paragraphs.pop(0)
    yield title, paragraphs


def _is_title(paragraph: str, text: str) -> bool:
    one_line = paragraph == text.lstrip().splitlines()[0].strip()
    return one_line and len(paragraph.split()) <= TITLE_WORDS and paragraph[-1] not in ".!?:,;"


def _marked_sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Title and paragraphs between the headings of a Markdown text."""
    document = section = ""
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line.lstrip()))
        heading = None if fenced else _HEADING.fullmatch(line.strip())
        if heading is None:
            lines.append(line)
            continue
        yield _title(document, section), _paragraphs(lines)
        lines = []
        if not document and len(heading[1]) == 1:
            document, section = heading[2], ""
        else:
            section = heading[2]
    yield _title(document, section), _paragraphs(lines)


def _title(document: str, section: str) -> str:
    return f"{document}: {section}" if document and section else document or section


def _paragraphs(lines: list[str]) -> list[str]:
    """Runs of lines that are not blank, the lines of each joined by a space."""
    runs: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            runs[-1].append(line.strip())
        elif runs[-1]:
            runs.append([])
    return [" ".join(run) for run in runs if run]


def _joined(paragraphs: list[str], words: int) -> Iterator[str]:
    """Passages of about `words` words: paragraphs together, long ones divided."""
    parts: list[str] = []
    length = 0
    for paragraph in paragraphs:
        long = len(paragraph.split()) > 1.5 * words
        for part in sentences(paragraph) if long else [paragraph]:
            size = len(part.split())
            if parts and length + size > 1.5 * words:
                yield " ".join(parts)
                parts, length = [], 0
            parts.append(part)
            length += size
            if length >= words:
                yield " ".join(parts)
                parts, length = [], 0
    if parts:
        yield " ".join(parts)
