"""The ONNX models that rank profiles name: their files, ports and sessions, one for each file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from siftline.encode.lazy import Lazy
from siftline.encode.ports import read_ports
from siftline.errors import PackageError
from siftline.model.session import Session
from siftline.schema.definition import OnnxModel
from siftline.schema.nearest import nearest

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]")


def legal_name(name: str) -> str:
    """An ONNX name as an expression can write it: other characters become `_` (spec 1.10)."""
    return _ILLEGAL.sub("_", name)


class OnnxModels:
    """Opens models on first use and shares them between profiles and threads.

    locate: the file of a model, ModelError or PackageError if there is none. start: opens a file.
    """

    def __init__(
        self, locate: Callable[[OnnxModel], Path], start: Callable[[Path, OnnxModel], Session]
    ) -> None:
        self._locate = locate
        self._start = start
        self._sessions: dict[tuple[Path, int | None], Lazy[Session]] = {}
        self._lock = Lock()

    def ports(self, model: OnnxModel) -> tuple[list[str], list[str]]:
        """Names of the inputs and outputs, read without loading the model."""
        return read_ports(self._locate(model))

    def session(self, model: OnnxModel) -> Session:
        """The open model."""
        path = self._locate(model)
        with self._lock:
            opener = self._sessions.setdefault(
                (path, model.threads), Lazy(lambda: self._start(path, model))
            )
        return opener()


def output_name(model: OnnxModel, outputs: list[str], selector: str | None) -> str:
    """The ONNX output that `.selector` means, the first one without; PackageError if none."""
    if selector is None:
        return outputs[0]
    by_alias = {alias: name for name, alias in model.outputs.items()}
    names = {legal_name(name): name for name in outputs if name not in model.outputs}
    found = by_alias.get(selector) or names.get(selector)
    if found is None or found not in outputs:
        known = [*by_alias, *names]
        raise PackageError(
            f"onnx-model '{model.name}' has no output '{selector}'{nearest(selector, known)};"
            f" it has {', '.join(known)}"
        )
    return found


def check_inputs(model: OnnxModel, inputs: list[str]) -> None:
    """PackageError where the schema binds an input that the model lacks."""
    for name in model.inputs:
        if name not in inputs:
            raise PackageError(
                f"onnx-model '{model.name}' has no input '{name}'{nearest(name, inputs)};"
                f" it has {', '.join(inputs)}",
                model.place,
            )
