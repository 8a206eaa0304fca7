"""The steps of the indexing language, each run on a column of values (spec 1.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from siftline.encode import columns, functions
from siftline.encode.control import CONTROL, control
from siftline.encode.embedder import Embedder, TokenSets, find_embedder
from siftline.encode.run import Column, Frame, ScriptRun, as_list, misfit, tensor_type
from siftline.encode.vectors import array_dimension, element_type, flatten
from siftline.errors import UsageError
from siftline.schema.definition import Field
from siftline.schema.script import (
    CallStep,
    ConcatStep,
    ElementStep,
    EmbedStep,
    FirstStep,
    ForEachStep,
    InputStep,
    LiteralStep,
    OutputStep,
    PipeStep,
    Step,
)
from siftline.tensor.batch import stack

STATEFUL = ("set_language", "get_language", "set_var", "get_var")
TENSOR = ("pack_bits", "binarize")


def run_field(run: ScriptRun, field: Field, write: bool) -> None:
    """Run the script of one field; its outputs count only if `write`.

    A statement of a document's field starts with the field itself, any other with null.
    """
    run.current, run.write = field, write
    for statement in field.indexing.statements:
        frame = Frame(list(range(len(run.ids))))
        start = run.input(field.name, frame) if field.inside else [None] * len(run.ids)
        run_steps(run, statement, start, frame)
    if write:
        run.finish(field)


def run_steps(run: ScriptRun, steps: Sequence[Step], values: Column, frame: Frame) -> Column:
    """Steps one after the other; once null, a value stays null."""
    for number, step in enumerate(steps):
        following = steps[number + 1 :]
        dead = (
            [i for i, v in enumerate(values) if v is None]
            if number and isinstance(values, list)
            else []
        )
        if dead and len(dead) == len(frame.rows) and frame.rows:
            return values
        values = _step(run, step, values, frame, following)
        if dead and isinstance(values, list):
            for i in dead:
                values[i] = None
    return values


def _step(
    run: ScriptRun, step: Step, values: Column, frame: Frame, following: Sequence[Step]
) -> Column:
    match step:
        case InputStep(name):
            return run.input(name, frame)
        case LiteralStep(value):
            return [value] * len(frame.rows)
        case ElementStep():
            return list(as_list(values))
        case ConcatStep(parts):
            return _concat(run, parts, values, frame)
        case FirstStep(alternatives):
            return _first(run, alternatives, values, frame)
        case PipeStep(steps):
            return run_steps(run, steps, values, frame)
        case ForEachStep(steps):
            return _for_each(run, steps, values, frame)
        case EmbedStep():
            return _embed(run, step, values, frame, following)
        case OutputStep(kind):
            return run.output(kind, values, frame)
        case CallStep():
            return _call(run, step, values, frame)


def _concat(run: ScriptRun, parts: Sequence[Step], values: Column, frame: Frame) -> Column:
    operands = [as_list(run_steps(run, (part,), values, frame)) for part in parts]
    joined = list(zip(*operands, strict=True))
    return run.each(joined, frame, functions.concatenated)


def _first(run: ScriptRun, alternatives: Sequence[Step], values: Column, frame: Frame) -> Column:
    found: list[Any] = [None] * len(frame.rows)
    incoming = as_list(values)
    for alternative in alternatives:
        left = [i for i, value in enumerate(found) if value is None]
        if not left:
            break
        tried = run_steps(run, (alternative,), [incoming[i] for i in left], frame.take(left))
        for i, value in zip(left, as_list(tried), strict=True):
            found[i] = value
    return found


def _for_each(run: ScriptRun, steps: Sequence[Step], values: Column, frame: Frame) -> Column:
    def items(value: Any) -> list[Any]:
        if not isinstance(value, (list, dict)):
            raise UsageError(f"for_each needs an array, not {value!r:.60}")
        return list(value)

    incoming = as_list(values)
    lists = run.each(incoming, frame, items)
    elements = [item for found in lists for item in found or ()]
    rows = [row for row, found in zip(frame.rows, lists, strict=True) for _ in found or ()]
    inner = iter(as_list(run_steps(run, steps, elements, Frame(rows))))
    results: list[Any] = []
    for value, found in zip(incoming, lists, strict=True):
        new = [next(inner) for _ in found or ()]
        if found is None:
            results.append(None)
        elif isinstance(value, dict):
            weights = zip(new, value.values(), strict=True)
            results.append({item: weight for item, weight in weights if item is not None})
        else:
            results.append([item for item in new if item is not None])
    return results


def _embed(
    run: ScriptRun, step: EmbedStep, values: Column, frame: Frame, following: Sequence[Step]
) -> Column:
    field = run.current
    texts = run.each(values, frame, _embeddable)
    try:
        embedder = find_embedder(run.embedders, step.embedder)
        target = tensor_type(field)
        if any(isinstance(s, CallStep) and s.name == "pack_bits" for s in following):
            target = columns.unpacked_type(target)
        if field.name in run.count_tokens and run.write:
            _count_tokens(run, field, embedder, texts, frame)
        if not any(isinstance(text, list) for text in texts):
            return run.texts.embed(embedder, texts, target, step.arguments)
        dimension = array_dimension(target, step.arguments)
        elements, offsets = flatten(texts)
        batch = run.texts.embed(embedder, elements, element_type(target, dimension), ())
    except UsageError as error:
        raise misfit(field, error.message) from None
    return columns.group(batch, offsets, target, dimension)


def _count_tokens(
    run: ScriptRun, field: Field, embedder: Embedder, texts: list[Any], frame: Frame
) -> None:
    if not isinstance(embedder, TokenSets):
        raise UsageError(f"the tokens of embedder '{embedder.id}' cannot be counted")
    joined = ["\n".join(t) if isinstance(t, list) else t or "" for t in texts]
    batch = embedder.token_sets(joined)
    earlier = run.token_sets.get(field.name)
    parts = [(np.arange(len(run.ids)), earlier)] if earlier is not None else []
    parts.append((np.array(frame.rows, np.int64), batch))
    run.token_sets[field.name] = columns.scatter(batch.type, len(run.ids), parts)


def _call(run: ScriptRun, step: CallStep, values: Column, frame: Frame) -> Column:
    name, arguments = step.name, step.arguments
    if name in TENSOR:
        return _tensor_call(run, name, arguments, values)
    if name in CONTROL:

        def execute(steps: Sequence[Step], column: Column, part: Frame) -> Column:
            return run_steps(run, steps, column, part)

        return control(run, step, values, frame, execute)
    if name in STATEFUL:
        return _stateful(run, name, arguments, values, frame)
    if name in functions.SOURCES:
        return [functions.SOURCES[name](arguments) for _ in frame.rows]
    if name == "hash":
        kind = (run.current.type.element or run.current.type).kind
        return run.each(values, frame, lambda value: functions.hashed(value, kind))
    function = functions.FUNCTIONS.get(name)
    if function is None:
        raise misfit(run.current, f"'{name}' is not supported in indexing")
    return run.each(values, frame, lambda value: function(value, arguments))


def _tensor_call(run: ScriptRun, name: str, arguments: tuple[Any, ...], values: Column) -> Column:
    try:
        if isinstance(values, list):
            first = next((value for value in values if value is not None), None)
            if first is None:
                return values
            batch = stack(first.type, values)
        else:
            batch = values
        if name == "pack_bits":
            return columns.packed(batch)
        return columns.binarized(batch, float(arguments[0]) if arguments else 0.0)
    except (UsageError, AttributeError) as error:
        raise misfit(run.current, f"{name} needs tensors: {error}") from None


def _stateful(
    run: ScriptRun, name: str, arguments: tuple[Any, ...], values: Column, frame: Frame
) -> Column:
    incoming = as_list(values)
    if name == "get_language":
        return [run.languages[row] for row in frame.rows]
    if name == "get_var":
        kept = run.variables.get(str(arguments[0]), {})
        return [kept.get(row) for row in frame.rows]
    if name == "set_var":
        variable = run.variables.setdefault(str(arguments[0]), {})
        variable.update(zip(frame.rows, incoming, strict=True))
        return incoming
    for row, value in zip(frame.rows, incoming, strict=True):
        if isinstance(value, str) and value:
            run.languages[row] = value
    return incoming


def _embeddable(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise UsageError(f"embed needs a text or an array of texts, not {value!r:.60}")
