"""What a thing is worth against what it costs, one labelled point each (extra `plot`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siftline.errors import MissingExtraError
from siftline.evaluate.compare import Comparison

#: where a label may stand around its point, in points of type; the first that is free is taken
_OFFSETS = (
    (8, 4),
    (8, -12),
    (-8, 4),
    (-8, -12),
    (0, 10),
    (0, -18),
    (8, 18),
    (8, -26),
    (-8, 18),
    (-8, -26),
    (20, 32),
    (20, -40),
)


def plot_quality(comparison: Comparison, path: str | Path, measure: str = "ndcg@10") -> None:
    """Draw mean quality over mean latency into a file whose ending names the kind (png, svg, pdf).

    Profiles that no other beats in both are joined by a line. MissingExtraError without
    matplotlib.
    """
    plot_points(
        [(p.profile, p.latency.mean, p.quality.mean(measure)) for p in comparison.profiles],
        path,
        x="mean latency of a query, milliseconds",
        y=f"mean {measure.replace('ndcg', 'nDCG').replace('mrr', 'MRR')}",
        title=f"{comparison.data}, split {comparison.split}",
    )


def plot_points(
    points: Sequence[tuple[str, float, float]],
    path: str | Path,
    *,
    x: str,
    y: str,
    title: str,
    named: str | None = None,
) -> None:
    """Draw labelled points, cost to the right and worth upwards; x, y: what the axes say.

    Points that no other beats in both are joined by a line. named: the label of a point to be
    ringed. MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(f"the plot of {y} over {x}", "plot") from None

    costs, values = [cost for _, cost, _ in points], [value for _, _, value in points]
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if min(costs) > 0 and max(costs) > 5 * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    best = front(costs, values)
    axes.plot(
        [costs[i] for i in best], [values[i] for i in best], color="0.75", linewidth=1, zorder=1
    )
    colours = ["C0" if i in best else "C7" for i in range(len(points))]
    axes.scatter(costs, values, s=36, color=colours, zorder=2)
    for label, cost, value in points:
        if label == named:
            axes.scatter([cost], [value], s=160, facecolors="none", edgecolors="C3")
    axes.margins(0.12)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    _label(figure, axes, points)
    figure.savefig(Path(path), dpi=150)


def front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """The points that none is both cheaper and better than, cheapest first."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i]))
    best, found = float("-inf"), []
    for i in order:
        if values[i] > best:
            best = values[i]
            found.append(i)
    return found


def _label(figure: Any, axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each name beside its point where it covers no other name and no point."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    centres = [axes.transData.transform((x, y)) for _, x, y in points]
    taken = [Bbox.from_extents(cx - 5, cy - 5, cx + 5, cy + 5) for cx, cy in centres]
    frame = axes.get_window_extent()
    for name, x, y in points:
        chosen = None
        for right, up in _OFFSETS:
            if chosen is not None:
                chosen.remove()
            side = "left" if right > 0 else "right" if right < 0 else "center"
            chosen = axes.annotate(
                name,
                (x, y),
                (right, up),
                textcoords="offset points",
                ha=side,
                fontsize=9,
                arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6},
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
            )
            chosen.update_positions(figure.canvas.get_renderer())
            box = Text.get_window_extent(chosen)  # the words without the line to the point
            if _inside(box, frame) and not any(box.overlaps(other) for other in taken):
                break
        if chosen is not None:
            taken.append(Text.get_window_extent(chosen))


def _inside(box: Any, frame: Any) -> bool:
    return bool(
        box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
    )
