"""Outputs of ONNX models as features, one run for many hits (spec 2.7).

Vespa runs a model once for each hit with a first dimension of 1. Where that dimension is free in
all inputs and outputs, hits run together along it. Where all inputs are made by the token
features from one sequence, its attention mask among them, padding is trimmed too: sequences are
sorted by length and each batch is only as wide as its longest. A model whose rows are scaled
together runs each hit by itself, several at a time, so that no score depends on the other hits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from siftline.encode.pairs import TokenInputs
from siftline.errors import ModelError, PackageError
from siftline.model.batching import length_batches, padded_length
from siftline.model.cells import cell_type
from siftline.model.parallel import run_batches
from siftline.model.session import Port, Session
from siftline.rank.features.columns import take
from siftline.rank.features.names import exact_arguments
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import feature
from siftline.rank.features.tokens import TokenRequest, sequence_inputs
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.schema.nearest import nearest
from siftline.tensor.batch import DenseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import Dimension, TensorType

#: Cells of one input that run together, padding included.
CELL_BUDGET = 1024

#: Padded lengths are multiples of this.
BUCKET = 32


@dataclass(frozen=True, slots=True)
class BoundModel:
    """A model as a plan uses it.

    sources: ONNX input → the feature or function that fills it. tokens: the same inputs as token
    requests, None where one is not. outputs: the ONNX outputs that the plan refers to.
    """

    name: str
    sources: Mapping[str, Reference]
    tokens: Mapping[str, TokenRequest] | None
    outputs: tuple[str, ...]
    selectors: Mapping[str | None, str]

    def run(self, session: Session, hits: HitFeatures) -> dict[str, np.ndarray]:
        """Each output for every hit, `(n, *rest)`; a first dimension of 1 is the hit's."""
        if self.tokens is not None and self._trims(session):
            trimmed = self._run_trimmed(session, hits, self.tokens)
            if trimmed is not None:
                return trimmed
        feeds = {port.name: self._feed(port, hits) for port in session.inputs}
        if _batches(session, self.outputs) and all(f.shape[1] == 1 for f in feeds.values()):
            joined = {name: f.reshape(-1, *f.shape[2:]) for name, f in feeds.items()}
            return self._run_batches(session, joined, hits)
        return self._run_each(session, feeds, hits)

    @property
    def _stage(self) -> str:
        return f"onnx-model '{self.name}'"

    def _feed(self, port: Port, hits: HitFeatures) -> np.ndarray:
        """The input's cells, `(n, *dims)`, in the model's element type."""
        value = hits.feature(self.sources[port.name])
        if isinstance(value, Tensor) and value.type.dimensions and not value.type.mapped:
            cells = np.broadcast_to(value.array, (hits.count, *value.array.shape))
        elif isinstance(value, DenseBatch) and value.type.dimensions:
            cells = value.values
        else:
            found = "a number" if isinstance(value, np.ndarray) else str(value.type)
            raise ModelError(
                f"input '{port.name}' of onnx-model '{self.name}' needs a dense tensor,"
                f" but its source is {found}"
            )
        shape = cells.shape[1:]
        fits = len(shape) == len(port.shape) and all(
            not isinstance(wanted, int) or wanted == size
            for wanted, size in zip(port.shape, shape, strict=True)
        )
        if not fits:
            raise ModelError(
                f"input '{port.name}' of onnx-model '{self.name}' has the shape"
                f" {_shape_text(port.shape)}, but its source has {_shape_text(shape)}"
            )
        return cells.astype(port.dtype, copy=False)

    def _trims(self, session: Session) -> bool:
        """Whether the model leaves first and second dimension of all its inputs free."""
        return _batches(session, self.outputs) and all(
            len(port.shape) == 2 and not isinstance(port.shape[1], int) for port in session.inputs
        )

    def _run_trimmed(
        self, session: Session, hits: HitFeatures, tokens: Mapping[str, TokenRequest]
    ) -> dict[str, np.ndarray] | None:
        """Outputs without the padding of sequences; None where one grows with the length."""
        built: dict[tuple[int, int], TokenInputs] = {}
        arrays = {}
        for port in session.inputs:
            request = tokens[port.name]
            ends = request.start, request.separator
            if ends not in built:
                built[ends] = sequence_inputs(hits, request)
            arrays[port.name] = getattr(built[ends], request.kind).astype(port.dtype)
        lengths = next(iter(built.values())).mask.sum(axis=1, dtype=np.int64)
        full = next(iter(arrays.values())).shape[1]
        budget, bucket = (1, 1) if session.scaled_together else (CELL_BUDGET, BUCKET)
        batches = list(length_batches(lengths, token_budget=budget, bucket=bucket))
        widths = [min(padded_length(int(lengths[rows].max()), bucket), full) for rows in batches]
        feeds = (
            {name: array[rows, :width] for name, array in arrays.items()}
            for rows, width in zip(batches, widths, strict=True)
        )
        found: dict[str, np.ndarray] = {}
        results = self._results(session, feeds, hits)
        for rows, width, outputs in zip(batches, widths, results, strict=True):
            for name, values in outputs.items():
                if _depends_on_length(session, name, values, width):
                    return None
                _place(found, name, values, rows, hits.count)
        return found

    def _run_batches(
        self, session: Session, feeds: Mapping[str, np.ndarray], hits: HitFeatures
    ) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        budget = 1 if session.scaled_together else CELL_BUDGET
        chunks = list(_chunks(feeds, hits.count, budget))
        parts = ({name: values[rows] for name, values in feeds.items()} for rows in chunks)
        for rows, outputs in zip(chunks, self._results(session, parts, hits), strict=True):
            for name, values in outputs.items():
                _place(found, name, values, rows, hits.count)
        return found

    def _results(
        self, session: Session, feeds: Iterable[Mapping[str, np.ndarray]], hits: HitFeatures
    ) -> Iterator[dict[str, np.ndarray]]:
        """The outputs of every batch, the query's time looked at before each."""
        with closing(run_batches(session, feeds, self.outputs)) as results:
            yield from hits.run.prepared.query.deadline.over(results, self._stage)

    def _run_each(
        self, session: Session, feeds: Mapping[str, np.ndarray], hits: HitFeatures
    ) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for row in hits.run.prepared.query.deadline.over(range(hits.count), self._stage):
            part = {name: values[row] for name, values in feeds.items()}
            for name, values in session.run(part, self.outputs).items():
                found[name].append(values)
        return {name: np.stack(values) for name, values in found.items()}


def _batches(session: Session, outputs: tuple[str, ...]) -> bool:
    """Whether the first dimension of all inputs and outputs is one and the same free one."""
    ports = [*session.inputs, *(port for port in session.outputs if port.name in outputs)]
    first = {port.shape[0] if port.shape else 0 for port in ports}
    return len(first) == 1 and not isinstance(next(iter(first)), int)


def _depends_on_length(session: Session, name: str, values: np.ndarray, width: int) -> bool:
    port = next(port for port in session.outputs if port.name == name)
    free = {port.shape[1] for port in session.inputs}
    return any(
        not isinstance(declared, int) and (declared in free or size == width)
        for declared, size in zip(port.shape[1:], values.shape[1:], strict=True)
    )


def _chunks(feeds: Mapping[str, np.ndarray], count: int, budget: int) -> Iterator[np.ndarray]:
    widest = max(int(np.prod(values.shape[1:], dtype=np.int64)) for values in feeds.values())
    size = max(1, budget // max(widest, 1))
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def _place(
    found: dict[str, np.ndarray], name: str, values: np.ndarray, rows: np.ndarray, count: int
) -> None:
    """Put the values of a batch at its rows, `(count, 1, *rest)`."""
    if len(values) != len(rows):
        raise ModelError(
            f"output '{name}' has {len(values)} rows for {len(rows)} inputs: give the model's first"
            " dimension the size 1, so that it runs once for each hit"
        )
    if name not in found:
        found[name] = np.zeros((count, 1, *values.shape[1:]), values.dtype)
    found[name][rows, 0] = values


def _shape_text(shape: tuple[int | str | None, ...]) -> str:
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"


def output_batch(values: np.ndarray) -> DenseBatch:
    """An output `(n, …)` as tensors with the dimensions d0, d1, … and the matching cell type."""
    cell = cell_type(values.dtype)
    dimensions = tuple(Dimension(f"d{i}", False, s) for i, s in enumerate(values.shape[1:]))
    type_ = TensorType(cell, dimensions)
    return DenseBatch(type_, values.astype(type_.dtype, copy=False), np.ones(len(values), bool))


def check_onnx(scope: Scope, reference: Reference) -> TensorType | None:
    """The model must be declared; its outputs' types are known when it is loaded."""
    name = exact_arguments(reference, 1)[0]
    if name not in scope.models:
        raise PackageError(
            f"there is no onnx-model '{name}'{nearest(name, scope.models)}:"
            " declare it in the schema or the rank profile"
        )
    return None


@feature("onnx", "onnxModel", check=check_onnx)
def onnx(hits: HitFeatures, reference: Reference) -> Value:
    """An output of a model; every output that the profile refers to comes from the same run."""
    name = exact_arguments(reference, 1)[0]
    plan = hits.run.plan
    bound = plan.models[name]
    wanted = bound.selectors[reference.output]

    def compute(selected: HitFeatures) -> Value:
        session = plan.onnx.session(plan.scope.models[name])
        outputs = {o: output_batch(v) for o, v in bound.run(session, selected).items()}
        for other, batch in outputs.items():
            if other != wanted:
                _remember(selected, f"onnx({name})/{other}", batch)
        return outputs[wanted]

    return hits.keep(f"onnx({name})/{wanted}", compute)


def _remember(hits: HitFeatures, name: str, batch: DenseBatch) -> None:
    rows = hits.rows
    places = {int(row): place for place, row in enumerate(rows)}
    hits.run.columns.get(
        name, rows, lambda lacking: take(batch, np.array([places[int(r)] for r in lacking]))
    )
