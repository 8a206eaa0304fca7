"""The quality tables of the documentation, made from the JSON that `siftline eval --json` prints.

python -m siftline.evaluate.report RESULT.json … [--published FILE] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siftline.errors import SiftlineError, UsageError

HEADER = """\
# Quality

Made by `make quality`. Every rank profile listed answers every judged query of a
collection; a query without an answer counts as 0. Latency is for one query at a time, from the
text of the question to the ids of the answers.
"""

COLUMNS = (
    ("nDCG@10", "ndcg@10"),
    ("MRR@10", "mrr@10"),
    ("Recall@100", "recall@100"),
)


def quality_report(
    results: Sequence[Mapping[str, Any]],
    published: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Markdown with one table for each result, in the order given.

    published: data name → profile → nDCG@10 as others report it, shown beside ours where given.
    UsageError where a result lacks a key.
    """
    tables = [
        _table(result, (published or {}).get(result.get("data", ""), {})) for result in results
    ]
    return "\n".join([HEADER, *tables])


def _table(result: Mapping[str, Any], published: Mapping[str, float]) -> str:
    try:
        title = f"## {result['data']}, split {result['split']}"
        queries = max((profile["queries"] for profile in result["profiles"]), default=0)
        heads = ["profile", *(title for title, _ in COLUMNS), "mean ms", "p99 ms"]
        rows = [_row(profile) for profile in result["profiles"]]
    except KeyError as error:
        raise UsageError(f"a result has no {error}") from None
    if published:
        heads.insert(2, "published nDCG@10")
        for row in rows:
            figure = published.get(row[0])
            row.insert(2, "" if figure is None else f"{figure:g}")
    lines = [
        _line(heads),
        _line(["---", *["---:"] * (len(heads) - 1)]),
        *(_line(row) for row in rows),
    ]
    return "\n".join([title, "", f"{queries:,} queries.", "", *lines, ""])


def _row(profile: Mapping[str, Any]) -> list[str]:
    return [
        profile["profile"],
        *(f"{profile[key]:.4f}" for _, key in COLUMNS),
        *(f"{profile['latency_ms'][key]:.1f}" for key in ("mean", "p99")),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read '{path}': {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: write the report of result files to a file or standard output."""
    parser = argparse.ArgumentParser(prog="siftline.evaluate.report", description=__doc__)
    parser.add_argument(
        "results", nargs="+", type=Path, help="JSON files of `siftline eval --json`"
    )
    parser.add_argument("--published", type=Path, help="JSON: data → profile → published nDCG@10")
    parser.add_argument("--out", type=Path, help="the file to write; standard output without it")
    options = parser.parse_args(arguments)
    try:
        published = _read(options.published) if options.published else None
        text = quality_report([_read(path) for path in options.results], published)
    except SiftlineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
