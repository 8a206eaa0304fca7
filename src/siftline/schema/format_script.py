"""A script as text of the indexing language, so that reading it gives the same steps."""

from __future__ import annotations

import re
from typing import Any

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
    Script,
    Step,
)

_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_]\w*)*")
_SUMS, _FACTORS = ("+", "-"), ("*", "/", "%")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\f": "\\f"}
)
# How tightly a step binds: a part that binds less than its place needs gets parentheses.
_FIRST, _CONCAT, _SUM, _PRODUCT, _ATOM = 1, 2, 3, 4, 5


def format_script(script: Script) -> str:
    """The script in one line; several statements are separated by `;`."""
    return "; ".join(_statement(statement) for statement in script.statements)


def _statement(steps: tuple[Step, ...]) -> str:
    return " | ".join(_step(step, _FIRST) for step in steps)


def _strength(step: Step) -> int:
    if isinstance(step, FirstStep):
        return _FIRST
    if isinstance(step, ConcatStep):
        return _CONCAT
    if isinstance(step, CallStep) and step.name in _SUMS:
        return _SUM
    return _PRODUCT if isinstance(step, CallStep) and step.name in _FACTORS else _ATOM


def _step(step: Step, needed: int) -> str:
    text = _bare(step)
    return f"({text})" if _strength(step) < needed else text


def _bare(step: Step) -> str:
    if isinstance(step, FirstStep):
        return " || ".join(_step(s, _CONCAT) for s in step.alternatives)
    if isinstance(step, ConcatStep):
        return " . ".join(_step(s, _SUM) for s in step.parts)
    if isinstance(step, CallStep):
        return _call(step)
    if isinstance(step, PipeStep):
        return f"({_statement(step.steps)})"
    if isinstance(step, ForEachStep):
        return f"for_each {{ {_statement(step.steps)} }}"
    if isinstance(step, ElementStep):
        return "_"
    if isinstance(step, LiteralStep):
        return _literal(step.value)
    return _named(step)


def _named(step: InputStep | EmbedStep | OutputStep) -> str:
    if isinstance(step, InputStep):
        return f"input {step.field}"
    if isinstance(step, EmbedStep):
        return " ".join(["embed", *filter(None, [step.embedder]), *step.arguments])
    return f"{step.kind} {step.name}" if step.name else step.kind


def _call(step: CallStep) -> str:
    arguments = step.arguments
    if step.name in (*_SUMS, *_FACTORS):
        level = _SUM if step.name in _SUMS else _PRODUCT
        return f"{_step(arguments[0], level)} {step.name} {_step(arguments[1], level + 1)}"
    if step.name == "if":
        left, operator, right, then, otherwise = arguments
        condition = f"{_step(left, _FIRST)} {operator} {_step(right, _FIRST)}"
        rest = f" else {{ {_statement(otherwise)} }}" if otherwise else ""
        return f"if ({condition}) {{ {_statement(then)} }}{rest}"
    if step.name == "switch":
        cases, default = arguments
        inside = "".join(f" case {_literal(t)}: {_statement(s)};" for t, s in cases)
        rest = f" default: {_statement(default)};" if default else ""
        return f"switch {{{inside}{rest} }}"
    if step.name == "select_input":
        inside = "".join(f" {name}: {_statement(s)};" for name, s in arguments[0])
        return f"select_input {{{inside} }}"
    shown = _literal if step.name in ("split", "join") else _argument
    return " ".join([step.name, *map(shown, arguments)])


def _argument(value: Any) -> str:
    if isinstance(value, str):
        if _PATH.fullmatch(value):
            return value
        name, colon, rest = value.partition(":")
        if colon and _PATH.fullmatch(name):
            return f"{name}: {_literal(rest)}"
    return _literal(value)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return repr(value)
