"""`.model` files: functions of ranking expressions (spec 5.8).

model example {
    inputs { query tensor<float>(x[3]) }
    constants { bias: 0.5 }
    function score() { expression: sum(query * weights) + bias }
    constant weights { file: weights.json type: tensor<float>(x[3]) }
}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siftline.errors import PackageError, Place
from siftline.rank.expression import parse_expression
from siftline.rank.features.names import canonical
from siftline.rank.interpret import evaluate
from siftline.rank.nodes import Node, Reference
from siftline.rank.references import inline_calls, rewrite
from siftline.schema.declarations import read_constant, read_constants, read_inputs
from siftline.schema.definition import Constant
from siftline.schema.definition import Function as Declared
from siftline.schema.elements import Element, dispatch, read_elements
from siftline.schema.files import PackageFiles, read_text
from siftline.schema.read_profile import read_function
from siftline.stateless.function import Compute, Function
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR, TensorType


def expression_functions(
    name: str, path: Path, file: str, package: Path | None
) -> dict[str, Function]:
    """The functions without parameters of a `.model` file; those with parameters are for them.

    What an expression names and nothing declares is an argument, a number. file: the path shown in
    errors. Files of constants stand beside the model or are named from the package's folder.
    PackageError with its place where the file is wrong or a function depends on itself.
    """
    source = _read(path, file, package)
    reader = _Reader(source)
    nodes = {
        declared.name: reader.node(declared)
        for declared in source.functions.values()
        if not declared.parameters
    }
    if not nodes:
        raise PackageError(f"model '{name}' has no function without parameters", source.place)
    needs = _Needs(nodes, reader.needs)
    try:
        arguments = {function: needs.of(function) for function in nodes}
    except RecursionError:
        raise PackageError(f"the functions of model '{name}' call too deep", source.place) from None
    return {
        function: Function(
            function,
            {argument: reader.arguments[argument] for argument in named},
            _computation(function, nodes, source),
        )
        for function, named in arguments.items()
    }


@dataclass
class _Source:
    """What a `.model` file declares."""

    place: Place | None = None
    inputs: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    functions: dict[str, Declared] = field(default_factory=dict)

    def value(self, name: str) -> Tensor:
        """The value of a constant."""
        value = self.constants[name].value
        return value if isinstance(value, Tensor) else Tensor.scalar(value)


def _read(path: Path, file: str, package: Path | None) -> _Source:
    files = PackageFiles(package, path.parent, beside=path.parent)
    elements = read_elements(read_text(path), file)
    if len(elements) != 1 or elements[0].key != "model" or not elements[0].rest:
        place = elements[0].place if elements else None
        raise PackageError(f"'{file}' must hold one 'model name {{ … }}'", place)
    root = elements[0]
    source = _Source(root.place)

    def add(into: dict[str, Any], values: Mapping[str, Any], element: Element) -> None:
        for name, value in values.items():
            if name in into:
                element.fail(f"'{name}' is declared twice")
            into[name] = value

    def inputs(element: Element) -> None:
        types = {n: i.type or SCALAR for n, i in read_inputs(element).items()}
        add(source.inputs, types, element)

    def constant(element: Element) -> None:
        found = read_constant(element, files)
        add(source.constants, {found.name: found}, element)

    def function(element: Element) -> None:
        found = read_function(element, files)
        add(source.functions, {found.name: found}, element)

    handlers = {
        "inputs": inputs,
        "constants": lambda e: add(source.constants, read_constants(e, files), e),
        "constant": constant,
        "function": function,
        "macro": function,
    }
    dispatch(root.body, handlers, f"model '{root.rest}'")
    return source


class _Reader:
    """Expressions parsed, calls inlined; collects the arguments that each function names itself."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        tensors = [*source.inputs.values(), *(source.value(c).type for c in source.constants)]
        self._dimensions = {d.name for type_ in tensors for d in type_.dimensions}
        self.arguments: dict[str, TensorType] = {}
        self.needs: dict[str, list[str]] = {}

    def node(self, declared: Declared) -> Node:
        """The expression of a function."""
        needs: list[str] = []
        self.needs[declared.name] = needs

        def change(reference: Reference, dimension: bool) -> Node:
            found = self._resolve(reference, dimension)
            if found is None:
                return reference
            if found.name not in self._source.constants:
                needs.append(found.name)
            return found

        expression = declared.expression
        try:
            parsed = parse_expression(expression.text, expression.place)
            return rewrite(inline_calls(parsed, self._source.functions), change)
        except PackageError as error:
            raise PackageError(error.message, error.place or expression.place) from None

    def _resolve(self, reference: Reference, dimension: bool) -> Reference | None:
        """The function, constant or argument that a reference means; None for a dimension."""
        source = self._source
        name = reference.name
        inner = reference.arguments[0] if len(reference.arguments) == 1 else None
        wrapped = canonical(inner) if isinstance(inner, Reference) else ""
        if reference.bare and (name in source.functions or name in source.constants):
            return reference
        if name == "constant" and wrapped in source.constants:
            return Reference(wrapped)
        if name == "query" and wrapped in source.inputs:
            name = wrapped
        elif not (reference.bare and name in source.inputs):
            if dimension and name in self._dimensions:
                return None
            name = canonical(reference)
        self.arguments.setdefault(name, source.inputs.get(name, SCALAR))
        return Reference(name, place=reference.place)


class _Needs:
    """The arguments of every function and of those it calls, in the order they are named."""

    def __init__(self, nodes: Mapping[str, Node], direct: Mapping[str, list[str]]) -> None:
        self._nodes = nodes
        self._direct = direct
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, function: str, calling: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The arguments of one; PackageError where it depends on itself."""
        if function in calling:
            chain = " -> ".join([*calling, function])
            raise PackageError(
                f"function '{function}' depends on itself: {chain}", self._nodes[function].place
            )
        if function not in self._known:
            found: dict[str, None] = {}
            for name in self._direct[function]:
                inner = self.of(name, (*calling, function)) if name in self._nodes else (name,)
                found.update(dict.fromkeys(inner))
            self._known[function] = tuple(found)
        return self._known[function]


class _Scope:
    """The values that the references of one evaluation mean; each function is evaluated once."""

    def __init__(
        self, nodes: Mapping[str, Node], source: _Source, values: Mapping[str, Tensor]
    ) -> None:
        self._nodes = nodes
        self._source = source
        self._values = dict(values)

    def feature(self, reference: Reference) -> Tensor:
        """The value of a function, constant or argument."""
        name = reference.name
        if name not in self._values:
            if name in self._nodes:
                self._values[name] = evaluate(self._nodes[name], self)
            else:
                self._values[name] = self._source.value(name)
        return self._values[name]


def _computation(function: str, nodes: Mapping[str, Node], source: _Source) -> Compute:
    def compute(values: Mapping[str, Tensor]) -> Tensor:
        return evaluate(nodes[function], _Scope(nodes, source, values))

    return compute
