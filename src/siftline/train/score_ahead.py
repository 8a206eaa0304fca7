"""Scores before the first step: in large sorted batches, and written out as data of their own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch

from siftline.errors import UsageError
from siftline.model.progress import Progress, silent
from siftline.train.data import RankingList, TrainingSet
from siftline.train.objective import process, processes
from siftline.train.teacher_scores import ModelTeacher, Wanted
from siftline.train.teachers import Ensemble, Teacher


def score_ahead(
    teachers: Sequence[Teacher], sets: Iterable[TrainingSet], *, progress: Progress = silent
) -> None:
    """Fill the teachers' caches with what they need for every row of the sets.

    Texts, or pairs of a cross-encoder, go through a model longest first, each once. A call that
    was stopped goes on where it was; processes that train together share the work. Teachers that
    are no models are left alone. UsageError for a model without a cache.
    """
    rows = [row for one in sets for row in one.rows]
    _ahead(teachers, lambda: ((row.query, row.documents) for row in rows), progress)


def score_steps(
    teachers: Sequence[Teacher],
    batches: Sequence[Sequence[RankingList]],
    *,
    in_batch: bool = False,
    progress: Progress = silent,
) -> None:
    """As `score_ahead`, for just what the batches of a training rank.

    in_batch: every query of a batch with the documents of all.
    """
    _ahead(teachers, lambda: _ranked(batches, in_batch), progress)


def write_scored(
    sets: Iterable[TrainingSet], ensemble: Ensemble, path: Path, *, progress: Progress = silent
) -> int:
    """Write every row with the ensemble's scores as `kd` JSON lines; how many there are.

    They need no teacher any more. path: gzipped where it ends in .gz; it appears when it is whole.
    Positives of `posnegs` rows are the first document. UsageError where it exists.
    """
    if path.exists():
        raise UsageError(f"'{path}' exists; name another file, or remove it")
    rows = [row for one in sets for row in one.rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(partial, "wt", encoding="utf-8") as file:
        for done, row in enumerate(rows, 1):
            scores = ensemble.scores([row.query], [row.documents])[0].tolist()
            written = {
                "query": row.query,
                "docs": list(row.documents),
                "scores": [round(score, 4) for score in scores],
            }
            file.write(json.dumps(written, ensure_ascii=False) + "\n")
            progress(path.name, done, len(rows))
    partial.replace(path)
    return len(rows)


def _ahead(
    teachers: Sequence[Teacher], wanted: Callable[[], Iterable[Wanted]], progress: Progress
) -> None:
    for teacher in teachers:
        if isinstance(teacher, ModelTeacher):
            teacher.ahead(wanted(), progress=progress, share=(process(), processes()))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # else one would make what another is about to


def _ranked(batches: Sequence[Sequence[RankingList]], in_batch: bool) -> Iterator[Wanted]:
    for batch in batches:
        every = [text for one in batch for text in one.documents]
        for one in batch:
            yield one.query, every if in_batch else one.documents
