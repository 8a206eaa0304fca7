"""A training's progress on the terminal: steps per second, time left, and what the losses are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

#: logged value → how it is shown
SHOWN: Mapping[str, str] = {
    "ranking_loss": "loss {:.4g}",
    "d_flops": "flops {:.3g}",
    "d_active": "active {:.0f}",
    "eval_ndcg@10": "ndcg@10 {:.4f}",
}


class ShowProgress(TrainerCallback):
    """A bar of the steps in a terminal; elsewhere a line for every logged step.

    title: which stage it is. Only the first of several processes shows anything.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._bar: Progress | None = None
        self._task: Any = None
        self._before: tuple[str, Progress | None, Any] = ("", None, None)
        self._values: dict[str, float] = {}
        self._began = 0.0
        self._first = 0

    def activity(self, what: str, done: int, total: int | None) -> None:
        """How far something is that goes before the first step; one follows the other."""
        known, bar, task = self._before
        if what != known:
            self._end_activity()
            bar = task = None
            if self._console.is_terminal:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
                bar = Progress(*columns, TimeRemainingColumn(), console=self._console)
                task = bar.add_task(what, total=total)
                bar.start()
            else:
                count = "" if total is None else f", {total:,}"
                self._console.print(f"{self._title}: {what}{count}", markup=False, soft_wrap=True)
            self._before = what, bar, task
        if bar is not None:
            bar.update(task, completed=done, total=total)

    def _end_activity(self) -> None:
        _, bar, _ = self._before
        if bar is not None:
            bar.stop()
        self._before = "", None, None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show the bar."""
        self._end_activity()
        self._began, self._first = time.perf_counter(), state.global_step
        if not state.is_world_process_zero or not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=self._console,
        )
        self._task = self._bar.add_task(
            self._title, total=state.max_steps, completed=state.global_step, rate="", values=""
        )
        self._bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar on."""
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=state.global_step,
                rate=self.rate(state.global_step),
                values=self.values(),
            )

    def on_log(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Take the logged values, and write them where there is no bar."""
        logs = named.get("logs") or {}
        self._values.update({name: value for name, value in logs.items() if name in SHOWN})
        if self._bar is None and state.is_world_process_zero and "loss" in logs:
            step = f"{self._title}: step {state.global_step:,} of {state.max_steps:,}"
            line = [step, self.values(), self.rate(state.global_step)]
            self._console.print(", ".join(filter(None, line)), markup=False, soft_wrap=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the bar as it is."""
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal's control; again is harmless."""
        self._end_activity()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def rate(self, step: int) -> str:
        """Steps per second of this run, nothing before the second step."""
        steps, seconds = step - self._first, time.perf_counter() - self._began
        return f"{steps / seconds:.2f} steps/s" if steps > 1 and seconds > 0 else ""

    def values(self) -> str:
        """The last logged values, in the order of SHOWN."""
        found = [form.format(self._values[n]) for n, form in SHOWN.items() if n in self._values]
        return ", ".join(found)
