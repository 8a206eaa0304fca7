"""The IDF table of a corpus as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from siftline.encode.tokenizer import Tokenizer
from siftline.experiment.training.models import find_model
from siftline.train.corpus import corpus_files, read_corpus
from siftline.train.idf import CorpusIdf, build_idf


def build_idf_table(
    corpora: Sequence[Path],
    tokenizer: str,
    out: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> CorpusIdf:
    """Count corpora as one and write their IDF table to `out`.

    corpora: each as for `read_corpus`. tokenizer: a `tokenizer.json`, a folder with one, or a name
    of the catalogue. UsageError where a corpus is not there, or none has text.
    """
    for corpus in corpora:
        corpus_files(corpus)  # before the first hours of counting
    path = Path(tokenizer)
    table = build_idf(
        chain.from_iterable(map(read_corpus, corpora)),
        Tokenizer.open(path if path.is_file() else find_model(tokenizer)),
        progress=progress,
    )
    table.save(out)
    return table
