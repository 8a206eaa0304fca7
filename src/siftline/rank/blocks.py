"""The blocks of a tensor literal in an expression, from its nested values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from siftline.errors import UsageError
from siftline.rank.nodes import Node, Number
from siftline.tensor.algebra import dense_addresses
from siftline.tensor.types import TensorType

#: Labels of the mapped dimensions → expressions of the cells, in type order.
Blocks = dict[tuple[str, ...], tuple[Node, ...]]


def literal_type(text: str) -> TensorType:
    """A type whose indexed dimensions all have sizes; UsageError if one has none."""
    type_ = TensorType.parse(text)
    if any(not d.mapped and d.size is None for d in type_.dimensions):
        raise UsageError(f"{type_} needs a size for each indexed dimension")
    return type_


def literal_blocks(type_: TensorType, value: Any) -> Blocks:
    """Lists, dicts by label and dicts by address (tuples of dimension and label) as blocks."""
    blocks: Blocks = {}
    if isinstance(value, Mapping) and any(isinstance(key, tuple) for key in value):
        cells: dict[tuple[str, ...], dict[tuple[int, ...], Node]] = {}
        for address, inner in value.items():
            _place_address(type_, dict(address), inner, blocks, cells)
        addresses = dense_addresses(type_)
        for labels, found in cells.items():
            blocks[labels] = tuple(found.get(index, Number(0)) for index in addresses)
        return blocks
    _place_labels(type_, value, (), blocks)
    return blocks


def _place_address(
    type_: TensorType,
    address: Mapping[str, str],
    value: Any,
    blocks: Blocks,
    cells: dict[tuple[str, ...], dict[tuple[int, ...], Node]],
) -> None:
    """A cell by its full address, or a block by the labels of the mapped dimensions."""
    names = [d.name for d in type_.dimensions]
    labels = tuple(address.get(name, "") for name in type_.mapped)
    if sorted(address) == names and isinstance(value, Node):
        index = tuple(map(_index, type_.indexed, type_.shape, map(address.get, type_.indexed)))
        cells.setdefault(labels, {})[index] = value
    elif sorted(address) == sorted(type_.mapped):
        blocks[labels] = _cells(type_, value)
    else:
        raise UsageError(f"{type_} needs an address of {', '.join(names)}: {dict(address)}")


def _index(name: str, size: int, label: str | None) -> int:
    if label is None or not label.isdecimal() or int(label) >= size:
        raise UsageError(f"no index '{label}' in dimension {name}[{size}]")
    return int(label)


def _place_labels(type_: TensorType, value: Any, labels: tuple[str, ...], into: Blocks) -> None:
    if len(labels) == len(type_.mapped):
        into[labels] = _cells(type_, value)
        return
    if not isinstance(value, Mapping):
        raise UsageError(f"{type_} needs labels for '{type_.mapped[len(labels)]}'")
    for label, inner in value.items():
        _place_labels(type_, inner, (*labels, label), into)


def _cells(type_: TensorType, value: Any) -> tuple[Node, ...]:
    found = tuple(_flattened(value))
    if len(found) != len(dense_addresses(type_)):
        raise UsageError(f"{type_} needs {len(dense_addresses(type_))} values, got {len(found)}")
    return found


def _flattened(value: Any) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    if isinstance(value, Mapping):
        raise UsageError("labels stand where a list of cells is expected")
    return [node for item in value for node in _flattened(item)]
