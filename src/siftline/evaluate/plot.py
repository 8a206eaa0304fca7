"""Quality against latency, one labelled point for each rank profile (extra `plot`)."""

from __future__ import annotations

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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the plot of quality against latency", "plot") from None

    times = [figures.latency.mean for figures in comparison.profiles]
    values = [figures.quality.mean(measure) for figures in comparison.profiles]
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if min(times) > 0 and max(times) > 5 * min(times):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    front = _front(times, values)
    axes.plot(
        [times[i] for i in front], [values[i] for i in front], color="0.75", linewidth=1, zorder=1
    )
    axes.scatter(
        times,
        values,
        s=36,
        color=["C0" if i in front else "C7" for i in range(len(times))],
        zorder=2,
    )
    axes.margins(0.12)
    axes.set_xlabel("mean latency of a query, milliseconds")
    axes.set_ylabel(f"mean {measure.replace('ndcg', 'nDCG').replace('mrr', 'MRR')}")
    axes.set_title(f"{comparison.data}, split {comparison.split}")
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    names = [figures.profile for figures in comparison.profiles]
    _label(figure, axes, list(zip(names, times, values, strict=True)))
    figure.savefig(Path(path), dpi=150)


def _front(times: list[float], values: list[float]) -> list[int]:
    """The points that none is both faster and better than, fastest first."""
    order = sorted(range(len(times)), key=lambda i: (times[i], -values[i]))
    best, front = float("-inf"), []
    for i in order:
        if values[i] > best:
            best = values[i]
            front.append(i)
    return front


def _label(figure: Any, axes: Any, points: list[tuple[str, float, float]]) -> None:
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
