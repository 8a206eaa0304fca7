"""The plot of a soak: requests a second, latencies and memory over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.soak.record import KINDS, Record
from siftline.errors import MissingExtraError

#: Points of a line; a long run is drawn in wider steps than a second.
POINTS = 200


def plot(record: Record, path: Path, title: str) -> None:
    """Draw into a file; MissingExtraError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the plot of a soak", "plot") from None
    kinds, at, seconds = record.arrays()
    end = max(at[-1] if len(at) else 1.0, 1.0)
    edges = np.linspace(0, end, int(min(end, POINTS)) + 1)
    figure = Figure(figsize=(9, 8), layout="constrained")
    FigureCanvasAgg(figure)
    rates, latencies, memory = figure.subplots(3, sharex=True)
    _rates(rates, kinds, at, edges)
    _latencies(latencies, at, seconds, edges)
    memory.plot(np.linspace(0, end, len(record.memory)), record.memory, color="C3")
    memory.set_ylim(0, 1.2 * max(record.memory, default=1.0))
    memory.set_ylabel("resident memory, MiB")
    memory.set_xlabel("seconds")
    rates.set_title(title, fontsize=10)
    for axes in (rates, latencies, memory):
        axes.set_xlim(0, end)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _rates(axes: Any, kinds: np.ndarray, at: np.ndarray, edges: np.ndarray) -> None:
    widths = np.diff(edges)
    shown = [number for number in range(len(KINDS)) if (kinds == number).any()]
    heights = [np.histogram(at[kinds == number], edges)[0] / widths for number in shown]
    if heights:
        axes.stackplot(edges[:-1], *heights, labels=[KINDS[n] for n in shown], step="post")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    axes.set_ylabel("requests a second")


def _latencies(axes: Any, at: np.ndarray, seconds: np.ndarray, edges: np.ndarray) -> None:
    bins = np.clip(np.searchsorted(edges, at, "right") - 1, 0, len(edges) - 2)
    parts = [1000 * seconds[bins == number] for number in range(len(edges) - 1)]
    for share, style in ((50, "-"), (99, "--")):
        values = [np.percentile(part, share) if len(part) else np.nan for part in parts]
        axes.step(edges[:-1], values, style, where="post", color="C0", label=f"p{share}")
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
