"""Control flow and arithmetic of the indexing language: rows of a column take different ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from siftline.encode import functions
from siftline.encode.run import Column, Frame, ScriptRun, as_list
from siftline.schema.script import CallStep, Step

#: Runs steps on a column.
Execute = Callable[[Sequence[Step], Column, Frame], Column]

CONTROL = ("if", "switch", "select_input", "+", "-", "*", "/", "%")


def control(
    run: ScriptRun, step: CallStep, values: Column, frame: Frame, execute: Execute
) -> Column:
    """The value of `if`, `switch`, `select_input` or arithmetic for each row."""
    name, arguments = step.name, step.arguments
    if name == "if":
        return _if(run, arguments, values, frame, execute)
    if name == "switch":
        branches = [((lambda v, t=text: v == t), steps) for text, steps in arguments[0]]
        return _branches(as_list(values), branches, arguments[1], values, frame, execute)
    if name == "select_input":
        result: list[Any] = [None] * len(frame.rows)
        left = list(range(len(frame.rows)))
        for field, steps in arguments[0]:
            inputs = as_list(run.input(field, frame))
            chosen = [i for i in left if inputs[i] is not None]
            left = [i for i in left if inputs[i] is None]
            _fill(result, steps, inputs, chosen, frame, execute)
        return result
    left_values, right = (as_list(execute((p,), values, frame)) for p in arguments)
    operands = list(zip(left_values, right, strict=True))
    return run.each(operands, frame, lambda pair: functions.arithmetic(name, *pair))


def _if(
    run: ScriptRun, arguments: tuple[Any, ...], values: Column, frame: Frame, execute: Execute
) -> Column:
    left, operator, right, then, otherwise = arguments
    sides = (as_list(execute((side,), values, frame)) for side in (left, right))
    pairs = list(zip(*sides, strict=True))
    true = run.each(pairs, frame, lambda pair: functions.compare(pair[0], operator, pair[1]))
    return _branches(true, [(bool, then)], otherwise, values, frame, execute)


def _branches(
    tested: list[Any],
    branches: Sequence[tuple[Callable[[Any], bool], Sequence[Step]]],
    default: Sequence[Step] | None,
    values: Column,
    frame: Frame,
    execute: Execute,
) -> Column:
    incoming = as_list(values)
    result = list(incoming)
    left = list(range(len(frame.rows)))
    for test, steps in branches:
        chosen = [i for i in left if test(tested[i])]
        left = [i for i in left if not test(tested[i])]
        _fill(result, steps, incoming, chosen, frame, execute)
    if default is not None:
        _fill(result, default, incoming, left, frame, execute)
    return result


def _fill(
    result: list[Any],
    steps: Sequence[Step],
    values: list[Any],
    chosen: list[int],
    frame: Frame,
    execute: Execute,
) -> None:
    """Run steps on the chosen values and put what they give into their places."""
    if chosen:
        found = execute(steps, [values[i] for i in chosen], frame.take(chosen))
        for i, value in zip(chosen, as_list(found), strict=True):
            result[i] = value
