"""A comparison of sparse models as Markdown, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siftline.evaluate.compare import ALPHA
from siftline.evaluate.plot import plot_points
from siftline.experiment.sparse.compare import ModelSummary, SetFigures, SparseComparison
from siftline.experiment.sparse.encoding import INFERENCE_FREE

_Tested = ModelSummary | SetFigures

REPORT, FIGURES, PICTURE = "sparse.md", "sparse.json", "sparse.png"

#: heading, name of the figure, how it is written
_COLUMNS = (
    ("nDCG@10", "ndcg@10", ".4f"),
    ("MRR@10", "mrr@10", ".4f"),
    ("Recall@1000", "recall@1000", ".4f"),
    ("FLOPS", "flops", ".2f"),
    ("query tokens", "query_length", ".1f"),
    ("document tokens", "document_length", ".1f"),
    ("index MB", "index_bytes", ".1f"),
    ("documents/s", "documents_per_second", ",.0f"),
)


def markdown(comparison: SparseComparison) -> str:
    """The table over all collections, then nDCG@10 and FLOPS of each collection."""
    models = comparison.models
    at = [model.label for model in models].index(comparison.baseline)
    heads = ["model", "inference-free", "parameters", *(title for title, _, _ in _COLUMNS)]
    parts = [_table(heads, [_summary_row(model, models[at]) for model in models])]
    names = [f"{judged.data} ({judged.split})" for judged in comparison.sets]
    for title, figure, form in (_COLUMNS[0], _COLUMNS[3]) if len(names) > 1 else ():
        rows = []
        for number, model in enumerate(models):
            own = [
                _marked(judged.models[number], judged.models[at], figure, form)
                for judged in comparison.sets
            ]
            rows.append([model.label, *own, _marked(model, models[at], figure, form)])
        parts.append(_table([title, *names, "mean"], rows))
    return "\n".join([*parts, *(f"{note}\n" for note in notes(comparison))])


def notes(comparison: SparseComparison) -> list[str]:
    """What a reader of the tables has to know."""
    sizes = ", ".join(
        f"{judged.data} {judged.split} ({judged.documents:,} documents, "
        f"{len(judged.models[0].quality.queries):,} queries)"
        for judged in comparison.sets
    )
    found = [
        f"Measured on {sizes}; means count each collection once. documents/s is of the time when a "
        "model encoded them; vectors in the cache keep theirs."
    ]
    if len(comparison.models) > 1:
        found.append(
            f"+ and -: nDCG@10 better or worse than {comparison.baseline} "
            f"(paired randomisation test, Holm-corrected p < {ALPHA})."
        )
    unanswered = {
        model.label: sum(judged.models[n].quality.unanswered for judged in comparison.sets)
        for n, model in enumerate(comparison.models)
    }
    found += [
        f"{label} found nothing for {count} queries, which count as 0."
        for label, count in unanswered.items()
        if count
    ]
    return found


def to_json(comparison: SparseComparison) -> dict[str, Any]:
    """Everything that was measured, as `siftline eval-sparse --json` prints it."""
    return {
        "baseline": comparison.baseline,
        "models": [
            {
                "model": model.label,
                "queries": model.mode,
                "parameters": model.parameters,
                **_rounded(model.figures),
                "p_value": model.p_value,
            }
            for model in comparison.models
        ],
        "sets": [
            {
                "data": judged.data,
                "split": judged.split,
                "documents": judged.documents,
                "queries": len(judged.models[0].quality.queries),
                "models": [
                    {"model": m.label, **_rounded(m.figures), "p_value": m.p_value}
                    for m in judged.models
                ],
            }
            for judged in comparison.sets
        ],
    }


def draw(comparison: SparseComparison, path: Path) -> None:
    """nDCG@10 over FLOPS, means over the collections; MissingExtraError without matplotlib."""
    plot_points(
        [(m.label, m.figures["flops"], m.figures["ndcg@10"]) for m in comparison.models],
        path,
        x="FLOPS: Σ P(token in a query) · P(token in a document)",
        y="mean nDCG@10",
        title=", ".join(judged.data for judged in comparison.sets),
    )


def _summary_row(model: ModelSummary, first: ModelSummary) -> list[str]:
    parameters = "" if model.parameters is None else f"{model.parameters / 1e6:.1f}M"
    free = "✔" if model.mode == INFERENCE_FREE else ""
    cells = [_marked(model, first, name, form) for _, name, form in _COLUMNS]
    return [model.label, free, parameters, *cells]


def _marked(own: _Tested, first: _Tested, figure: str, form: str) -> str:
    """A figure, with a mark where it differs from the baseline's."""
    value = own.figures[figure]
    text = format(value / 1e6 if figure == "index_bytes" else value, form)
    if figure != "ndcg@10" or own.p_value is None or own.p_value >= ALPHA:
        return text
    return text + ("+" if value > first.figures[figure] else "-")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in figures.items()}
