"""Latency against throughput, a line for each series of client counts (extra `plot`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siftline.errors import MissingExtraError, UsageError
from siftline.load.sweep import Sweep


@dataclass(frozen=True, slots=True)
class Point:
    """What one number of clients gave: queries a second, latencies in milliseconds."""

    clients: int
    rate: float
    average: float
    p95: float


def plot_sweep(sweep: Sweep, path: str | Path) -> None:
    """Draw one sweep; see `plot_latency`."""
    points = [Point(r.options.clients, r.rate, r.average, r.percentile(95)) for r in sweep.results]
    plot_latency({"": points}, path)


def plot_latency(series: Mapping[str, Sequence[Point]], path: str | Path, title: str = "") -> None:
    """Draw average (line) and 95 % (dashes) latency over queries a second; clients at the points.

    The ending of `path` names the kind of file (png, svg, pdf). UsageError where nothing was
    measured, MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the plot of latency against throughput", "plot") from None
    if not any(point.rate > 0 for points in series.values() for point in points):
        raise UsageError("no request was successful, so there is nothing to plot")
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for i, (name, points) in enumerate(series.items()):
        _draw(axes, name, [point for point in points if point.rate > 0], f"C{i}")
    axes.plot([], [], "o-", color="0.4", label="average")
    axes.plot([], [], "o--", color="0.4", alpha=0.5, markersize=4, label="95 %")
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    most = max(max(point.average, point.p95) for points in series.values() for point in points)
    axes.set_ylim(0, 1.1 * most)
    axes.set_xlabel("queries a second (at the points: clients)")
    axes.set_ylabel("response time, milliseconds")
    if title:
        axes.set_title(title)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    try:
        figure.savefig(Path(path), dpi=150)
    except ValueError as error:
        raise UsageError(f"cannot draw into '{path}': {error}") from None


def _draw(axes: Any, name: str, points: list[Point], color: str) -> None:
    rates = [point.rate for point in points]
    label = {"label": name} if name else {}
    axes.plot(rates, [point.average for point in points], "o-", color=color, **label)
    axes.plot(rates, [point.p95 for point in points], "o--", color=color, alpha=0.5, markersize=4)
    for point in points:
        axes.annotate(
            f"{point.clients}",
            (point.rate, point.average),
            (0, -13),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=color,
        )
