"""What the experiment is run with, and the results of the steps that are done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measurement import machine
from siftline.errors import UsageError

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "multilingual"


@dataclass(frozen=True)
class Settings:
    """limit: documents, None for all. seconds: of each load measurement. clients: of the tables."""

    data: Path
    split: str = "test"
    language: str = "sw"
    model: str = "multilingual-e5-small-4bit"
    limit: int | None = None
    seconds: float = 20.0
    clients: tuple[int, ...] = (1, 2, 4, 8)
    work: Path = field(default=Path("build/e5"), compare=False)

    def to_json(self) -> dict[str, Any]:
        """What results depend on."""
        return {
            "data": self.data.resolve().name,
            "split": self.split,
            "language": self.language,
            "model": self.model,
            "limit": self.limit,
            "seconds": self.seconds,
            "clients": list(self.clients),
        }


class Results:
    """Values by the name of the step that measured them; each is on disk as soon as it is there."""

    def __init__(self, settings: Settings, *, fresh: bool = False) -> None:
        self._path = settings.work / "results.json"
        self.settings = settings.to_json()
        self.steps: dict[str, Any] = {}
        self.machines: dict[str, dict[str, str]] = {}
        if fresh or not self._path.exists():
            return
        kept = json.loads(self._path.read_text("utf-8"))
        if kept["settings"] != self.settings:
            raise UsageError(
                f"'{self._path}' was measured with other settings, {kept['settings']}; "
                "say --fresh to measure anew, or --work for another folder"
            )
        self.steps, self.machines = kept["steps"], kept["machines"]

    def has(self, step: str) -> bool:
        """Whether a step is done."""
        return step in self.steps

    def take(self, step: str, measure: Callable[[], Any]) -> Any:
        """The value of a step, measured now unless it is there."""
        if step not in self.steps:
            self.steps[step] = measure()
            self.machines[step] = machine()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".draft")
            data = {"settings": self.settings, "steps": self.steps, "machines": self.machines}
            draft.write_text(json.dumps(data, indent=1), encoding="utf-8")
            draft.replace(self._path)
        return self.steps[step]
