"""The IDF table of a corpus as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from siftline.encode.tokenizer import Tokenizer
from siftline.experiment.training.models import find_model
from siftline.train.corpus import read_corpus
from siftline.train.idf import CorpusIdf, build_idf


def build_idf_table(
    corpus: Path,
    tokenizer: str,
    out: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> CorpusIdf:
    """Count a corpus and write its IDF table to `out`.

    corpus: as for `read_corpus`. tokenizer: a `tokenizer.json`, a folder with one, or a name of
    the catalogue. UsageError where the corpus has no text.
    """
    path = Path(tokenizer)
    table = build_idf(
        read_corpus(corpus),
        Tokenizer.open(path if path.is_file() else find_model(tokenizer)),
        progress=progress,
    )
    table.save(out)
    return table
