"""Documents to what the index stores: every field's indexing script, run over a whole batch.

A script's value is a column: one value for each document, or a Batch once it is embedded. So an
embedder sees all texts of the batch at once, and no text twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from siftline.encode import columns, functions
from siftline.encode.control import CONTROL
from siftline.encode.embedder import Embedder, find_embedder
from siftline.encode.encoded import Encoded
from siftline.encode.run import ScriptRun, misfit, tensor_type
from siftline.encode.steps import STATEFUL, TENSOR, run_field
from siftline.encode.vectors import element_type
from siftline.errors import DocumentError, UsageError
from siftline.schema.definition import Field, Schema
from siftline.schema.script import CallStep, EmbedStep


def encode_documents(
    schema: Schema,
    documents: Sequence[tuple[str, Mapping[str, Any]]],
    embedders: Mapping[str, Embedder],
    *,
    count_tokens: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
    errors: dict[str, DocumentError] | None = None,
) -> Encoded:
    """What the scripts of a schema make of documents (id, fields), ids distinct.

    only: the fields to compute, all without; for an update, given the whole merged document.
    count_tokens: fields whose embedded texts' distinct tokens are added as `<field>#tokens`.
    errors: takes each document that cannot be encoded, id → error, and the rest is encoded
    without it; without `errors` the first such error is raised. PackageError where a script does
    not fit its field or embedder.
    """
    run = ScriptRun(schema, documents, embedders, count_tokens)
    for field in schema.fields.values():
        wanted = only is None or field.name in only
        if wanted or _sets_language(field):
            run_field(run, field, wanted)
        if run.failed and errors is None:
            raise next(iter(run.failed.values()))
    encoded = run.encoded()
    if not run.failed or errors is None:
        return encoded
    errors.update({run.ids[row]: error for row, error in run.failed.items()})
    return _without(encoded, run.failed)


def check_scripts(schema: Schema, embedders: Mapping[str, Embedder]) -> None:
    """PackageError for an unknown function or embedder, or one that cannot fill its field."""
    known = [*functions.FUNCTIONS, *functions.SOURCES, *CONTROL, *STATEFUL, *TENSOR, "hash"]
    for field in schema.fields.values():
        for step in field.indexing.steps():
            if isinstance(step, CallStep) and step.name not in known:
                near = difflib.get_close_matches(step.name, known, n=1)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise misfit(field, f"'{step.name}' is not supported in indexing{hint}")
            if isinstance(step, EmbedStep):
                _check_embed(field, step, embedders)


def _check_embed(field: Field, step: EmbedStep, embedders: Mapping[str, Embedder]) -> None:
    try:
        embedder = find_embedder(embedders, step.embedder)
        target = tensor_type(field)
        if any(isinstance(s, CallStep) and s.name == "pack_bits" for s in field.indexing.steps()):
            target = columns.unpacked_type(target)
        reasons = []
        for dimension in (None, *target.mapped):
            try:
                embedder.check(element_type(target, dimension) if dimension else target)
                return
            except UsageError as error:
                reasons.append(error)
        raise reasons[0]
    except UsageError as error:
        raise misfit(field, error.message) from None


def _sets_language(field: Field) -> bool:
    return any(isinstance(s, CallStep) and s.name == "set_language" for s in field.indexing.steps())


def _without(encoded: Encoded, failed: Mapping[int, DocumentError]) -> Encoded:
    """The batch without the documents that failed."""
    kept = [row for row in range(len(encoded)) if row not in failed]
    rows = np.array(kept, np.int64)
    return Encoded(
        [encoded.ids[row] for row in kept],
        [encoded.fields[row] for row in kept],
        {name: [values[row] for row in kept] for name, values in encoded.outputs.items()},
        {name: batch.take(rows) for name, batch in encoded.vectors.items()},
        [encoded.languages[row] for row in kept],
    )
