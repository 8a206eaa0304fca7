"""A result as tables in a terminal; rich is imported when the first one is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siftline.respond.hits import Hit, Result
from siftline.respond.trace import Trace
from siftline.tensor.tensor import Tensor

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

#: Longest text of a cell, in characters.
TEXT_WIDTH = 160


def show_result(result: Result, console: Console, *, fields: Sequence[str] | None = None) -> None:
    """Write the hits, the errors and, if the query asked for it, the trace to `console`."""
    for error in result.errors:
        console.print(f"error {error.code}: {error.message}", style="red", markup=False)
    console.print(hits_table(result, fields=fields))
    console.print(f"{len(result.hits)} of {result.total} hits", style="dim", markup=False)
    if result.trace is not None and result.trace.level > 0:
        console.print(trace_table(result.trace))


def hits_table(result: Result, *, fields: Sequence[str] | None = None) -> Table:
    """One row for each hit: rank, relevance, score of each phase, id, `fields` (None: all)."""
    from rich.table import Table

    phases = phase_names(result.hits)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("relevance", justify="right", style="green")
    for phase in phases:
        table.add_column(phase, justify="right", style="cyan")
    table.add_column("hit", ratio=1, overflow="fold")
    for rank, hit in enumerate(result.hits, 1):
        scores = [format_number(hit.scores[p]) if p in hit.scores else "" for p in phases]
        table.add_row(str(rank), format_number(hit.relevance), *scores, _hit_cell(hit, fields))
    return table


def trace_table(trace: Trace) -> Table:
    """One row for each phase: documents in, documents out, milliseconds, share of the time."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("phase")
    for name in ("in", "out", "ms", "share"):
        table.add_column(name, justify="right")
    whole = trace.seconds or 1.0
    for phase in trace.phases:
        table.add_row(
            phase.name,
            f"{phase.entered:,}",
            f"{phase.left:,}",
            f"{phase.seconds * 1000:,.2f}",
            f"{phase.seconds / whole:.0%}",
        )
    return table


def phase_names(hits: Sequence[Hit]) -> list[str]:
    """The phases that scored any of the hits, in the order they ran."""
    names: dict[str, None] = {}
    for hit in hits:
        names.update(dict.fromkeys(hit.scores))
    order = ["first-phase", "second-phase", "global-phase"]
    return sorted(names, key=lambda n: order.index(n) if n in order else len(order))


def format_number(value: float) -> str:
    """A score with five significant digits."""
    return f"{value:.5g}" if math.isfinite(value) else str(value)


def _hit_cell(hit: Hit, fields: Sequence[str] | None) -> RenderableType:
    from rich.text import Text

    cell = Text(hit.id, style="bold")
    for name, value in hit.fields.items():
        if name in ("documentid", "sddocname") or (fields is not None and name not in fields):
            continue
        cell.append(f"\n{name}: ", style="dim not bold")
        cell.append(_short(value), style="not bold")
    for name, feature in (hit.match_features or {}).items():
        cell.append(f"\n{name}: {_short(feature)}", style="cyan not bold")
    return cell


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.type}, {value.cells.size} cells"
    if isinstance(value, float):
        return format_number(value)
    text = " ".join(str(value).split())
    return text if len(text) <= TEXT_WIDTH else text[: TEXT_WIDTH - 1] + "…"
