"""Query inputs: `input.query(name)` as the number or tensor that the rank profile declares.

Values are numbers, tensor literals, JSON arrays and objects, or `embed(…)` (spec: Vespa query API,
embedding reference).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from siftline.errors import Place, QueryError, UsageError
from siftline.match.literals import unescape
from siftline.match.parameters import Parameters
from siftline.schema.definition import Input, RankProfile
from siftline.schema.nearest import nearest
from siftline.tensor.json import from_json
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor, to_cells
from siftline.tensor.types import TensorType

#: Text to a tensor of the type, by the embedder of that id or the only one.
Embed = Callable[[str | None, str, TensorType], Tensor]

_NAME = re.compile(r"^ranking\.features\.query\(\s*([^)]+?)\s*\)$")
_WITH_ID = re.compile(r"^([A-Za-z0-9_\-.]+)\s*,\s*([\"'@].*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InputReader:
    """Reads the inputs of one request."""

    profile: RankProfile
    embedders: Collection[str]
    embed: Embed

    def read(self, parameters: Parameters) -> dict[str, Tensor | float]:
        """Every input given, by name; QueryError where one does not fit its declaration."""
        found: dict[str, Tensor | float] = {}
        for parameter, value in parameters.items():
            name = _NAME.match(parameter)
            if name:
                found[name[1]] = self._value(name[1], value, parameters)
        return found

    def _value(self, name: str, value: Any, parameters: Parameters) -> Tensor | float:
        declared = self.profile.inputs.get(name)
        if declared is None:
            return self._undeclared(name, value)
        if declared.type is None or not declared.type.dimensions:
            return self._double(declared, value)
        if isinstance(value, str) and value.strip().startswith("embed("):
            return self._embedded(name, value.strip(), declared.type, parameters)
        try:
            return as_tensor(declared.type, value)
        except UsageError as error:
            raise QueryError(
                f"Could not set 'ranking.features.query({name})' to '{_shown(value)}': "
                f"Require a tensor of type {declared.type}: {error}",
                Place(field=f"input.query({name})"),
            ) from None

    def _undeclared(self, name: str, value: Any) -> float:
        number = _number(value)
        if number is not None and not self.profile.strict:
            return number
        raise QueryError(
            f"Expected 'query({name})' to be a tensor, but it is the string '{_shown(value)}': "
            f"rank profile '{self.profile.name}' does not declare it among its inputs"
            f"{nearest(name, self.profile.inputs)}",
            Place(field=f"input.query({name})"),
        )

    def _double(self, declared: Input, value: Any) -> float:
        number = _number(value)
        if number is None:
            raise QueryError(
                f"Could not set 'ranking.features.query({declared.name})' to '{_shown(value)}': "
                "it is declared as a double",
                Place(field=f"input.query({declared.name})"),
            )
        return number

    def _embedded(self, name: str, value: str, type_: TensorType, parameters: Parameters) -> Tensor:
        place = Place(field=f"input.query({name})")
        if not value.endswith(")"):
            raise QueryError(
                "Expected any string enclosed in embed(), but the argument does not end by ')': "
                f"'{value}'",
                place,
            )
        id_, text = self._argument(value[len("embed(") : -1].strip(), parameters, place)
        return self.embed(id_, text, type_)

    def _argument(
        self, argument: str, parameters: Parameters, place: Place
    ) -> tuple[str | None, str]:
        """The embedder's id and the text of `embed(argument)`."""
        with_id = _WITH_ID.match(argument)
        id_ = with_id[1] if with_id else None
        text = with_id[2].strip() if with_id else argument
        self._check(id_, place)
        if text.startswith("@"):
            if parameters.get(text[1:]) is None:
                raise QueryError(
                    f"Could not find parameter '{text[1:]}' for embed()"
                    f"{nearest(text[1:], parameters)}",
                    place,
                )
            return id_, str(parameters[text[1:]])
        if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
            return id_, unescape(text)
        return id_, text

    def _check(self, id_: str | None, place: Place) -> None:
        known = ",".join(sorted(self.embedders))
        if not self.embedders:
            raise QueryError("embed() needs an embedder, but services.xml has none", place)
        if id_ is None and len(self.embedders) > 1:
            raise QueryError(
                "Multiple embedders are provided but no embedder id is given. "
                f"Valid embedders are {known}",
                place,
            )
        if id_ is not None and id_ not in self.embedders:
            raise QueryError(
                f"Can't find embedder '{id_}'. Valid embedders are {known}"
                f"{nearest(id_, self.embedders) if len(self.embedders) > 1 else ''}",
                place,
            )


def typed_inputs(inputs: Mapping[str, Any], profile: RankProfile) -> Mapping[str, Any]:
    """Inputs as the profile declares them; QueryError where one does not fit.

    Those of a request are so already; a searcher may set others, or another profile.
    """
    changed: dict[str, Any] = {}
    for name, value in inputs.items():
        declared = profile.inputs.get(name)
        type_ = declared.type if declared is not None else None
        if type_ is not None and type_.dimensions:
            unbound = any(not d.mapped and d.size is None for d in type_.dimensions)
            if isinstance(value, Tensor) and (unbound or value.type == type_):
                continue
            try:
                changed[name] = as_tensor(type_, value)
            except UsageError as error:
                raise _misfit(name, value, f"a tensor of type {type_}: {error}") from None
        elif not isinstance(value, (int, float, Tensor)):
            number = _number(value)
            if number is None:
                raise _misfit(name, value, "a number")
            changed[name] = number
    return {**inputs, **changed} if changed else inputs


def _misfit(name: str, value: Any, wanted: str) -> QueryError:
    return QueryError(
        f"Could not set 'ranking.features.query({name})' to '{_shown(value)}': Require {wanted}",
        Place(field=f"input.query({name})"),
    )


def as_tensor(type_: TensorType, value: Any) -> Tensor:
    """A literal, JSON value, array or Tensor as a tensor of the type; UsageError if it is none."""
    if isinstance(value, Tensor):
        if value.type.dimensions != type_.dimensions:
            raise UsageError(f"it is a tensor of type {value.type}")
        return Tensor(type_, value.labels, to_cells(type_, value.cells))
    if isinstance(value, str):
        return parse_literal(type_, value)
    if isinstance(value, np.ndarray):
        return Tensor.dense(type_, value)
    return from_json(type_, value)


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor) and value.is_scalar:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str, np.number)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
