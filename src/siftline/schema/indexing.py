"""The indexing language: text to a Script and back (spec: Vespa indexing language reference)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from siftline.errors import PackageError, Place
from siftline.schema.nearest import nearest
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

#: function → fewest and most arguments
FUNCTIONS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        (
            "lowercase trim normalize flatten to_int to_long to_float to_double to_byte to_bool"
            " to_string to_array to_epoch_second hash hex_encode hex_decode base64encode"
            " base64decode now hostname pack_bits set_language get_language"
        ).split(),
        (0, 0),
    ),
    **dict.fromkeys("split join ngram set_var get_var get_field get_value".split(), (1, 1)),
    "substring": (2, 2),
    "tokenize": (0, 4),
    "to_wset": (0, 2),
    "random": (0, 1),
    "binarize": (0, 1),
    "chunk": (1, 3),
}

#: brackets that one script may have
MOST_BRACKETS = 150

#: functions of Vespa that are refused by name
_REFUSED = {
    "generate": ": there are no language model generators",
    "to_pos": ": there is no geographic search",
    "zcurve": ": there is no geographic search",
    "optimize_predicate": ": predicate fields are not supported",
    "guard": "",
    "echo": "",
    "clear_state": "",
    "exact": "",
    "passthrough": "",
    "to_uri": "",
}


def parse_script(text: str, place: Place | None = None) -> Script:
    """The script written in `text`, which begins at `place`; PackageError where it does not parse.

    Different values written to one field in one statement, as in `attribute | lowercase | index`,
    are an error too.
    """
    if len(re.findall(r"[({]", text)) > MOST_BRACKETS:
        raise PackageError(f"an indexing statement has over {MOST_BRACKETS} brackets", place)
    try:
        tree = _parser().parse(text)
        statements = _Steps(place).transform(tree)
    except UnexpectedInput as error:
        raise _problem(text, place, error) from None
    except VisitError as error:
        raise error.orig_exc from None
    for statement in statements:
        _check_outputs(statement, place)
    return Script(statements, place)


@cache
def _parser() -> Lark:
    return Lark.open("indexing.lark", rel_to=__file__, parser="lalr", lexer="contextual")


def _shift(place: Place | None, line: int, column: int) -> Place | None:
    """The place `line` and `column` (from 1) into a text that begins at `place`."""
    if place is None:
        return None
    if place.line is None:
        return place
    first = (place.column or 1) - 1 if line == 1 else 0
    return Place(place.file, place.line + line - 1, first + column)


def _problem(text: str, place: Place | None, error: UnexpectedInput) -> PackageError:
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    offset = len(text) if at_end or error.pos_in_stream is None else error.pos_in_stream
    rest = text[offset:].split("\n", 1)[0][:30]
    before = text[:offset]
    where = _shift(place, before.count("\n") + 1, offset - before.rfind("\n"))
    found = f"at '{rest}'" if rest.strip() else "at its end"
    return PackageError(
        f"indexing statement '{' '.join(text.split())}' cannot be read {found}"
        " (expected steps joined by '|', such as: input title | index | summary)",
        where,
    )


@v_args(inline=True)
class _Steps(Transformer[Token, Any]):
    """Turns the tree of the grammar into steps."""

    def __init__(self, place: Place | None) -> None:
        super().__init__()
        self._place = place

    def start(self, *statements: Any) -> Any:
        return tuple(s for s in statements if s)

    def statement(self, *steps: Step) -> tuple[Step, ...]:
        return steps

    def first(self, *steps: Step) -> Step:
        return FirstStep(steps)

    def concat(self, *steps: Step) -> Step:
        return ConcatStep(steps)

    def arithmetic(self, left: Step, operator: Token, right: Step) -> Step:
        return CallStep(str(operator), (left, right))

    def input(self, name: Token | None) -> Step:
        if name is None:
            raise PackageError("'input' needs the name of a field", self._place)
        return InputStep(str(_value(name)))

    def embed(self, name: Token | None, *arguments: Any) -> Step:
        return EmbedStep(None if name is None else str(name), tuple(str(a) for a in arguments))

    def output(self, kind: Token, name: Token | None) -> Step:
        return OutputStep(str(kind), None if name is None else str(name))

    def for_each(self, steps: tuple[Step, ...], *_: Any) -> Step:
        return ForEachStep(steps)

    def element(self) -> Step:
        return ElementStep()

    def literal(self, token: Token) -> Step:
        return LiteralStep(_value(token))

    def group(self, steps: tuple[Step, ...]) -> Step:
        return steps[0] if len(steps) == 1 else PipeStep(steps)

    def argument(self, token: Any) -> Any:
        return _value(token) if isinstance(token, Token) else token

    def named(self, name: Token, value: Token) -> str:
        return f"{name}:{_value(value)}"

    def call(self, name: Token, *arguments: Any) -> Step:
        if str(name) not in FUNCTIONS:
            raise PackageError(
                _unknown(name), _shift(self._place, name.line or 1, name.column or 1)
            )
        fewest, most = FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise PackageError(
                f"'{name}' takes {wanted} arguments, got {len(arguments)}",
                _shift(self._place, name.line or 1, name.column or 1),
            )
        return CallStep(str(name), arguments)

    def switch(self, *cases: Any) -> Step:
        *named, default = cases
        return CallStep("switch", (tuple(named), default))

    def case(self, text: Token, steps: tuple[Step, ...]) -> Any:
        return (_value(text), steps)

    def default(self, steps: tuple[Step, ...]) -> Any:
        return steps

    def select(self, *choices: Any) -> Step:
        return CallStep("select_input", (choices,))

    def choice(self, name: Token, steps: tuple[Step, ...]) -> Any:
        return (str(name), steps)


def _if_step(_: Any, children: list[Any]) -> Step:
    left, operator, right, then, *rest = (c for c in children)
    otherwise = rest[-1] if rest else None
    return CallStep("if", (left, str(operator), right, then, otherwise))


# `if` is a word of Python, so the method cannot be written in the class body.
setattr(_Steps, "if", _if_step)


def _unknown(name: str) -> str:
    if name in _REFUSED:
        return f"indexing function '{name}' is not supported{_REFUSED[name]}"
    words = ("input", "embed", "attribute", "index", "summary", "for_each", "if", "switch")
    return f"unknown indexing function '{name}'{nearest(name, [*FUNCTIONS, *words])}"


_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


def _value(token: Token) -> Any:
    if token.type == "STRING":
        return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), token[1:-1])
    if token.type == "NUMBER":
        text = token.rstrip("L")
        return float(text) if any(c in text for c in ".eE") else int(text)
    if token.type in ("TRUE", "FALSE"):
        return token.type == "TRUE"
    return str(token)


#: steps that leave the value as it is
_TRANSPARENT = ("set_language", "set_var")


def _check_outputs(steps: tuple[Step, ...], place: Place | None) -> None:
    written: OutputStep | None = None
    changed = False
    for step in steps:
        if isinstance(step, OutputStep):
            if written is not None and changed:
                raise PackageError(
                    f"'{written.kind}' and '{step.kind}' would get different values in one "
                    "statement; write the outputs last",
                    place,
                )
            written = step
        elif not (isinstance(step, CallStep) and step.name in _TRANSPARENT):
            changed = written is not None
