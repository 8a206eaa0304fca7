"""How much sparsity costs: one recipe trained with several weights of its penalty.

OUT/lambda-0.01/ …       the run of each weight, as `siftline train` leaves it
OUT/sweep.json, sweep.png
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siftline.errors import UsageError
from siftline.evaluate.plot import front, plot_points
from siftline.experiment.sparse.compare import SparseComparison
from siftline.experiment.sparse.report import to_json

if TYPE_CHECKING:
    from siftline.train.recipe import Recipe

FIGURES, PICTURE = "sweep.json", "sweep.png"

#: Trains a recipe, or leaves it as it is where that was done before; its `final_model`.
Train = Callable[["Recipe"], Path]
#: Measures models by label.
MeasureModels = Callable[[Mapping[str, Path]], SparseComparison]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One weight λ of the penalty: the model it gave, and means over the collections."""

    weight: float
    label: str
    model: Path
    ndcg: float
    flops: float
    document_length: float


@dataclass(frozen=True, eq=False)
class Sweep:
    """Points by rising λ; front: those that none is both sparser and better than.

    knee: the label of the best trade, None where the front bends nowhere.
    """

    points: tuple[SweepPoint, ...]
    front: tuple[str, ...]
    knee: str | None
    comparison: SparseComparison


def parse_weights(text: str) -> list[float]:
    """The weights of `0.005,0.01,0.02`, rising; UsageError for what is no number of at least 0."""
    weights = []
    for part in text.split(","):
        try:
            weight = float(part)
        except ValueError:
            weight = -1.0
        if not 0 <= weight < float("inf"):
            raise UsageError(f"'{part.strip()}' is no weight of a penalty (expected like 0.01)")
        weights.append(weight)
    return sorted(set(weights))


def run_sweep(
    recipe: Recipe,
    weights: Sequence[float],
    out: Path,
    *,
    train: Train,
    measure: MeasureModels,
) -> Sweep:
    """Train the recipe with every weight and measure what comes of it.

    Writes `sweep.json` into `out`. What `train` leaves as it is, such as a finished run, is only
    measured.
    """
    models = {}
    for weight in weights:
        folder = out / f"lambda-{weight:g}"
        stage = replace(recipe, flops_d_lambda=weight, output_dir=str(folder))
        models[label_of(weight)] = train(stage)
    comparison = measure(models)
    points = tuple(
        SweepPoint(
            weight,
            summary.label,
            models[summary.label],
            summary.figures["ndcg@10"],
            summary.figures["flops"],
            summary.figures["document_length"],
        )
        for weight, summary in zip(weights, comparison.models, strict=True)
    )
    best = front([point.flops for point in points], [point.ndcg for point in points])
    at = knee([(points[i].flops, points[i].ndcg) for i in best])
    found = Sweep(
        points,
        tuple(points[i].label for i in best),
        None if at is None else points[best[at]].label,
        comparison,
    )
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(sweep_json(found), indent=1, ensure_ascii=False)
    (out / FIGURES).write_text(text + "\n", encoding="utf-8")
    return found


def label_of(weight: float) -> str:
    """What the model of a weight is called in tables and plots."""
    return f"λ={weight:g}"


def knee(points: Sequence[tuple[float, float]]) -> int | None:
    """The point farthest above the chord from the first to the last; None where none is above.

    points: cost and worth, both rising. Both axes are scaled to the ends of the chord, so that
    neither unit counts more (the knee of Satopää et al., ICDCS Workshops 2011).
    """
    if len(points) < 3:
        return None
    (low, worst), (high, best) = points[0], points[-1]
    if high <= low or best <= worst:
        return None
    # Where the chord is the diagonal, the height above it is √2 times the distance to it.
    heights = [(w - worst) / (best - worst) - (c - low) / (high - low) for c, w in points]
    at = max(range(len(points)), key=heights.__getitem__)
    return at if heights[at] > 0 else None


def sweep_json(sweep: Sweep) -> dict[str, Any]:
    """The sweep as `sweep.json` holds it."""
    return {
        "points": [
            {
                "lambda": point.weight,
                "model": str(point.model),
                "ndcg@10": round(point.ndcg, 6),
                "flops": round(point.flops, 6),
                "document_length": round(point.document_length, 3),
                "on_front": point.label in sweep.front,
            }
            for point in sweep.points
        ],
        "knee": next((p.weight for p in sweep.points if p.label == sweep.knee), None),
        "measured": to_json(sweep.comparison),
    }


def draw_sweep(sweep: Sweep, path: Path) -> None:
    """Relevance over cost with the Pareto front, the knee ringed; needs matplotlib."""
    data = ", ".join(judged.data for judged in sweep.comparison.sets)
    plot_points(
        [(point.label, point.flops, point.ndcg) for point in sweep.points],
        path,
        x="FLOPS: Σ P(token in a query) · P(token in a document)",
        y="mean nDCG@10",
        title=f"{data}; knee: {sweep.knee or 'none'}",
        named=sweep.knee,
    )
