"""Partial updates of a tensor: add, remove and modify cells (spec 4.5, 4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from siftline.errors import UsageError
from siftline.feed.shown import shown
from siftline.feed.values import checked_tensor
from siftline.tensor.json import from_json, to_json
from siftline.tensor.tensor import Address, Tensor
from siftline.tensor.types import TensorType

#: what a cell that is created starts from
MODIFICATIONS = {"replace": 0.0, "add": 0.0, "multiply": 1.0}

Blocks = dict[Address, np.ndarray]


def apply(type_: TensorType, value: Any, operation: str, argument: Any) -> Any:
    """The tensor's JSON after the operation, None where no cell is left.

    value: its JSON before, None where it has none. UsageError where the operation does not fit.
    """
    if not isinstance(argument, Mapping):
        raise UsageError(f"expected an object for '{operation}', got {shown(argument)}")
    if operation != "modify" and not type_.mapped:
        raise UsageError(f"'{operation}' does not apply to {type_}, which has no mapped dimension")
    blocks: Blocks = {}
    if value is not None:
        # float64 while calculating, rounded to the type's cells once at the end
        old = from_json(type_, value).as_dict()
        blocks = {address: np.array(block, np.float64) for address, block in old.items()}
    if operation == "add":
        _add(type_, blocks, argument)
    elif operation == "remove":
        _remove(type_, blocks, argument)
    elif operation == "modify":
        _modify(type_, blocks, argument)
    else:
        raise UsageError(f"'{operation}' does not apply to {type_}")
    if not blocks:
        return None
    cells: dict[Address | str, Any] = {address: block for address, block in blocks.items()}
    return to_json(checked_tensor(type_, Tensor.blocks(type_, cells)))


def _add(type_: TensorType, blocks: Blocks, argument: Mapping[str, Any]) -> None:
    if "cells" in argument:
        new: Blocks = {}
        for address, index, number in _cells(type_, argument["cells"]):
            new.setdefault(address, np.zeros(type_.shape))[index] = number
        blocks.update(new)
    elif "blocks" in argument:
        blocks.update(from_json(type_, {"blocks": argument["blocks"]}).as_dict())
    else:
        raise UsageError(f"'add' needs cells or blocks, got {shown(argument)}")


def _remove(type_: TensorType, blocks: Blocks, argument: Mapping[str, Any]) -> None:
    addresses = argument.get("addresses")
    if not isinstance(addresses, list):
        raise UsageError(f"'remove' needs addresses, a list, got {shown(argument)}")
    for wanted in addresses:
        if not isinstance(wanted, Mapping) or not wanted or set(wanted) - set(type_.mapped):
            raise UsageError(
                f"expected labels of {', '.join(type_.mapped)}, got {shown(wanted)} for {type_}"
            )
        places = {type_.mapped.index(name): str(label) for name, label in wanted.items()}
        for address in list(blocks):
            if all(address[i] == label for i, label in places.items()):
                del blocks[address]


def _modify(type_: TensorType, blocks: Blocks, argument: Mapping[str, Any]) -> None:
    operation = argument.get("operation")
    if operation not in MODIFICATIONS:
        raise UsageError(
            f"unknown tensor modification {shown(operation)} (known: {', '.join(MODIFICATIONS)})"
        )
    start = MODIFICATIONS[operation] if argument.get("create") else None
    whole = (slice(None),) * len(type_.shape)
    changes: Iterator[tuple[Address, tuple[Any, ...], Any]]
    if "cells" in argument:
        changes = _cells(type_, argument["cells"])
    elif "blocks" in argument:
        given = from_json(type_, {"blocks": argument["blocks"]}).as_dict()
        changes = ((address, whole, block) for address, block in given.items())
    else:
        raise UsageError(f"'modify' needs cells or blocks, got {shown(argument)}")
    for address, index, number in changes:
        if address not in blocks:
            if start is None:
                continue
            blocks[address] = np.full(type_.shape, start)
        block = blocks[address]
        if operation == "replace":
            block[index] = number
        elif operation == "add":
            block[index] += number
        else:
            block[index] *= number


def _cells(type_: TensorType, cells: Any) -> Iterator[tuple[Address, tuple[int, ...], float]]:
    """Labels, positions in the dense block and number of each cell."""
    if isinstance(cells, Mapping):
        if len(type_.dimensions) != 1:
            raise UsageError(f"cells of {type_} need addresses, got {shown(cells)}")
        name = type_.dimensions[0].name
        cells = [{"address": {name: label}, "value": number} for label, number in cells.items()]
    if not isinstance(cells, list):
        raise UsageError(f"expected a list of cells, got {shown(cells)}")
    for cell in cells:
        if not isinstance(cell, Mapping) or not {"address", "value"} <= set(cell):
            raise UsageError(f"expected a cell with address and value, got {shown(cell)}")
        address, number = cell["address"], cell["value"]
        names = {d.name for d in type_.dimensions}
        if not isinstance(address, Mapping) or set(address) != names:
            raise UsageError(f"expected an address in {type_}, got {shown(address)}")
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            raise UsageError(f"expected a number, got {shown(number)}")
        labels = tuple(str(address[name]) for name in type_.mapped)
        yield labels, _position(type_, address), float(number)


def _position(type_: TensorType, address: Mapping[str, Any]) -> tuple[int, ...]:
    position = []
    for name, size in zip(type_.indexed, type_.shape, strict=True):
        label = str(address[name])
        if not label.isdecimal() or int(label) >= size:
            raise UsageError(f"{type_} has no position {shown(address[name])} in {name}")
        position.append(int(label))
    return tuple(position)
