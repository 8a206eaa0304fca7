"""Questions and the documents that answer them: BEIR folders and TREC files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from siftline.errors import Place, UsageError
from siftline.lines import read_lines, read_rows

#: query id → document id → grade; above 0 is relevant
Judgments = Mapping[str, Mapping[str, int]]

BEIR_HEADER = ("query-id", "corpus-id", "score")


@dataclass(frozen=True, slots=True)
class Collection:
    """A split of a BEIR folder: the text of every judged query, and the judgments."""

    name: str
    split: str
    queries: Mapping[str, str]
    judgments: Judgments


def read_collection(folder: str | Path, split: str) -> Collection:
    """The queries and judgments of a split, `queries.jsonl[.gz]` and `qrels/<split>.tsv[.gz]`.

    Only judged queries are in it. UsageError where a file is missing or malformed, a split is
    unknown (it names those there are), or a judged query has no text.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no such folder: '{folder}'")
    judgments = read_judgments(_split_file(folder, split))
    names = [folder / "queries.jsonl", folder / "queries.jsonl.gz"]
    texts = read_queries(next((name for name in names if name.exists()), names[0]))
    missing = [query for query in judgments if query not in texts]
    if missing:
        raise UsageError(
            f"'{folder}' judges {len(missing)} queries of split '{split}' whose text is missing, "
            f"such as '{missing[0]}'"
        )
    queries = {query: texts[query] for query in judgments}
    return Collection(folder.resolve().name, split, queries, judgments)


def splits(folder: str | Path) -> list[str]:
    """The names of the splits that a BEIR folder judges."""
    files = (Path(folder) / "qrels").glob("*.tsv*")
    return sorted({path.name.split(".tsv")[0] for path in files})


def read_queries(path: str | Path) -> dict[str, str]:
    """Query id to text from JSON lines with `_id` (or `id`) and `text`."""
    queries: dict[str, str] = {}
    for place, row in read_rows(Path(path)):
        identity = row.get("_id", row.get("id")) if isinstance(row, dict) else None
        text = row.get("text") if isinstance(row, dict) else None
        if identity is None or not isinstance(text, str):
            raise UsageError("a query needs _id and text", place)
        if str(identity) in queries:
            raise UsageError(f"query '{identity}' stands here a second time", place)
        queries[str(identity)] = text
    return queries


def read_judgments(path: str | Path) -> dict[str, dict[str, int]]:
    """Judgments of a BEIR file (query, document, grade) or a TREC file (query, 0, document, grade).

    The kind is known by the number of columns; a BEIR header line is passed over. UsageError with
    the line where a column is missing or a grade is no whole number, a pair stands twice with
    different grades, or there is no judgment at all.
    """
    judgments: dict[str, dict[str, int]] = {}
    for place, line in read_lines(Path(path)):
        columns = line.split("\t") if "\t" in line else line.split()
        if tuple(columns) == BEIR_HEADER and not judgments:
            continue
        if len(columns) == 4:
            del columns[1]
        if len(columns) != 3:
            raise UsageError(
                f"expected 3 columns (query, document, grade) or 4 (TREC), got {len(columns)}",
                place,
            )
        query, document, grade = (column.strip() for column in columns)
        documents = judgments.setdefault(query, {})
        number = _grade(grade, place)
        if documents.setdefault(document, number) != number:
            raise UsageError(f"query '{query}' grades document '{document}' twice", place)
    if not judgments:
        raise UsageError(f"'{path}' holds no judgment")
    return judgments


def write_judgments(judgments: Judgments, path: str | Path) -> None:
    """Judgments as a TREC file."""
    with Path(path).open("w", encoding="utf-8") as file:
        for query, documents in judgments.items():
            for document, grade in documents.items():
                file.write(f"{query} 0 {document} {grade}\n")


def _split_file(folder: Path, split: str) -> Path:
    for name in (f"{split}.tsv", f"{split}.tsv.gz"):
        if (folder / "qrels" / name).is_file():
            return folder / "qrels" / name
    known = ", ".join(splits(folder)) or "none"
    raise UsageError(f"'{folder}' has no judgments for split '{split}' (it has: {known})")


def _grade(text: str, place: Place) -> int:
    try:
        return int(text)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not number.is_integer():
            raise UsageError(f"expected a whole number as grade, got '{text}'", place) from None
        return int(number)
