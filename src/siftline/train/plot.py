"""Pictures of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: panel → the logged values in it
PANELS: Mapping[str, tuple[str, ...]] = {
    "ranking loss": ("ranking_loss",),
    "penalty λ·FLOPS": ("flops_loss",),
    "active tokens a document": ("d_active",),
    "nDCG@10": ("eval_ndcg@10",),
    "FLOPS of a query": ("eval_flops",),
}


def draw_losses(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """What was logged at each step as one PNG, a panel for each kind of value that there is."""
    panels = {
        title: names
        for title, names in PANELS.items()
        if any(name in line for line in history for name in names)
    }
    figure = Figure(figsize=(4.2 * max(1, len(panels)), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), number)
        for name in names:
            points = [(line["step"], line[name]) for line in history if name in line]
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 20 else "")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=120)
