"""Tensors as JSON values: every form that documents, queries and results use (spec 4.6, 3.11)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.algebra import dense_addresses
from siftline.tensor.bits import compress_bfloat16, expand_bfloat16
from siftline.tensor.tensor import Address, Tensor, to_cells
from siftline.tensor.types import Dimension, TensorType

Form = Literal["short", "long", "short-value", "long-value", "hex", "hex-value"]
FORMS: tuple[str, ...] = get_args(Form)

#: Cells that addresses may give to a dense tensor whose size only they say.
MOST_ADDRESSED_CELLS = 1 << 22

#: Cell type to the big-endian bit pattern that hex digits spell.
_HEX: dict[str, str] = {"int8": ">i1", "bfloat16": ">u2", "float": ">f4", "double": ">f8"}


def from_json(type_: TensorType, value: object) -> Tensor:
    """A JSON value in any input form as a tensor of the type.

    Unbound indexed dimensions take their size from the value. UsageError names the type and what
    does not fit: a wrong number of cells, an unknown dimension, a cell that is not a finite number
    of the cell type, an address given twice.
    """
    if isinstance(value, Mapping):
        written = value.get("type")
        if isinstance(written, str):
            check_type(type_, TensorType.parse(written))
            value = {key: inner for key, inner in value.items() if key != "type"}
        if len(value) == 1:
            for key, kinds in (("values", (list, str)), ("cells", (list, Mapping))):
                if isinstance(value.get(key), kinds):
                    return from_nested(type_, value[key])
            if isinstance(value.get("blocks"), (list, Mapping)):
                return from_nested(type_, value["blocks"])
    if isinstance(value, str):
        raise UsageError(f"a tensor {type_} cannot be a string ({value[:40]!r})")
    return from_nested(type_, value)


def from_nested(type_: TensorType, value: object) -> Tensor:
    """Nested lists, objects by label, address lists or hex digits as a tensor of the type."""
    if isinstance(value, list) and all(isinstance(v, Mapping) for v in value):
        if value or type_.mapped:
            return _from_addresses(type_, value)
    blocks: dict[Address, object] = {}
    _collect(type_, value, (), blocks)
    type_ = _bound(type_, blocks.values())
    return _from_blocks(type_, {a: _block(type_, block) for a, block in blocks.items()})


def check_type(declared: TensorType, written: TensorType) -> None:
    """UsageError unless a value written with one type can be one of the declared type."""
    mine = [(d.name, d.mapped, d.size) for d in declared.dimensions]
    theirs = [(d.name, d.mapped, d.size) for d in written.dimensions]
    fits = len(mine) == len(theirs) and all(
        m[:2] == t[:2] and (None in (m[2], t[2]) or m[2] == t[2])
        for m, t in zip(mine, theirs, strict=True)
    )
    if not fits:
        raise UsageError(f"expected a tensor of type {declared}, not {written}")


def to_json(tensor: Tensor, form: str = "short") -> object:
    """The tensor as a JSON value in one of FORMS; labels sorted, numbers among them by value.

    Cells that are not finite become null. UsageError for an unknown form.
    """
    if form not in FORMS:
        raise UsageError(f"unknown tensor form '{form}' (known: {', '.join(FORMS)})")
    name, _, bare = form.partition("-")
    key, value = ("cells", _cell_list(tensor)) if name == "long" else _short(tensor, name == "hex")
    return value if bare else {"type": str(tensor.type), key: value}


def sorted_blocks(tensor: Tensor) -> list[tuple[Address, np.ndarray]]:
    """Blocks in label order: numeric labels by number, before all others."""

    def order(entry: tuple[Address, np.ndarray]) -> list[tuple[int, int, str]]:
        return [(0, int(s), s) if s.isdecimal() else (1, 0, s) for s in entry[0]]

    return sorted(zip(tensor.labels, tensor.cells, strict=True), key=order)


def hex_cells(type_: TensorType, digits: str) -> np.ndarray:
    """Cells spelled as big-endian bit patterns; flat array of type.dtype."""
    try:
        raw = bytes.fromhex(digits)
        patterns = np.frombuffer(raw, np.dtype(_HEX[type_.cell]))
    except ValueError:
        raise UsageError(f"not hex digits for cells of {type_}: '{digits[:40]}'") from None
    if type_.cell == "bfloat16":
        return _finite(type_, expand_bfloat16(patterns.astype(np.uint16)))
    return _finite(type_, patterns.astype(type_.dtype))


def _collect(
    type_: TensorType, value: object, labels: Address, into: dict[Address, object]
) -> None:
    """Blocks of a value whose outer objects are keyed by label, dimension by dimension."""
    if len(labels) == len(type_.mapped):
        into[labels] = value
        return
    if not isinstance(value, Mapping):
        dimension = type_.mapped[len(labels)]
        raise UsageError(
            f"{type_} needs an object of labels for '{dimension}', not {_shown(value)}"
        )
    for label, inner in value.items():
        _collect(type_, inner, (*labels, str(label)), into)


def _bound(type_: TensorType, blocks: Iterable[object]) -> TensorType:
    """The type with unbound dimensions sized by the first block."""
    if all(d.mapped or d.size is not None for d in type_.dimensions):
        return type_
    first = next(iter(blocks), None)
    shape = np.shape(_numbers(type_, first)) if isinstance(first, list) else ()
    if len(type_.indexed) == 1 and isinstance(first, str):
        shape = (len(hex_cells(type_, first)),)
    if len(shape) != len(type_.indexed):
        raise UsageError(f"{type_} needs lists nested {len(type_.indexed)} deep to know its size")
    return _sized(type_, dict(zip(type_.indexed, shape, strict=True)))


def _block(type_: TensorType, value: object) -> np.ndarray:
    """One dense block `type.shape` from a nested or flat list, hex digits or a number."""
    if isinstance(value, str):
        if not type_.indexed:
            raise UsageError(f"a cell of {type_} must be a number, not {_shown(value)}")
        array = hex_cells(type_, value)
    else:
        numbers = _numbers(type_, value)
        with np.errstate(over="ignore"):
            array = _finite(type_, to_cells(type_, numbers))
    size = int(np.prod(type_.shape, dtype=np.int64))
    if array.size != size:
        raise UsageError(f"{type_} needs {size} values, got {array.size}")
    return array.reshape(type_.shape)


def _numbers(type_: TensorType, value: object) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise UsageError(f"the nested lists for {type_} have different lengths") from None
    if array.dtype.kind not in "iuf" and array.size:
        raise UsageError(f"cells of {type_} must be numbers, not {_shown(value)}")
    return array


def _finite(type_: TensorType, cells: np.ndarray) -> np.ndarray:
    if cells.dtype.kind == "f" and not np.all(np.isfinite(cells)):
        raise UsageError(f"cells of {type_} must be finite numbers of that cell type")
    return cells


def _from_blocks(type_: TensorType, blocks: Mapping[Address, np.ndarray]) -> Tensor:
    cells = np.zeros((len(blocks), *type_.shape), type_.dtype)
    for row, block in enumerate(blocks.values()):
        cells[row] = block
    return Tensor(type_, tuple(blocks), cells)


def _from_addresses(type_: TensorType, entries: Iterable[Mapping[str, Any]]) -> Tensor:
    """`[{"address": {…}, "value": cell}]`, or `"values": block` with the mapped labels only."""
    entries = list(entries)
    type_ = _bound_by_entries(type_, entries)
    names = [d.name for d in type_.dimensions]
    blocks: dict[Address, np.ndarray] = {} if type_.mapped else {(): _zeros(type_)}
    seen: set[Address] = set()
    for entry in entries:
        address = entry.get("address")
        if not isinstance(address, Mapping) or len(entry) != 2:
            raise UsageError(f"a cell of {type_} must be an object of address and value: {entry}")
        whole = "value" in entry
        wanted = names if whole else list(type_.mapped)
        if sorted(address) != wanted:
            raise UsageError(
                f"{type_} needs an address of {', '.join(wanted)}, not {', '.join(address)}"
            )
        key = tuple(str(address[name]) for name in wanted)
        if key in seen:
            raise UsageError(f"{type_} has two cells at {dict(address)}")
        seen.add(key)
        labels = tuple(str(address[name]) for name in type_.mapped)
        if whole:
            _set_cell(type_, blocks.setdefault(labels, _zeros(type_)), address, entry["value"])
        else:
            blocks[labels] = _block(type_, entry.get("values"))
    return _from_blocks(type_, blocks)


def _bound_by_entries(type_: TensorType, entries: Iterable[Mapping[str, Any]]) -> TensorType:
    """The type with unbound dimensions as large as the highest index in an address, or a block."""
    unbound = [d.name for d in type_.dimensions if not d.mapped and d.size is None]
    if not unbound:
        return type_
    whole = [entry["values"] for entry in entries if "values" in entry]
    if whole:
        return _bound(type_, whole)
    sizes = dict.fromkeys(unbound, 0)
    for entry in entries:
        address = entry.get("address")
        for name in unbound:
            label = str(address.get(name, "")) if isinstance(address, Mapping) else ""
            if (index := _index(label)) is not None:
                sizes[name] = max(sizes[name], index + 1)
    if not all(sizes.values()):
        raise UsageError(f"{type_} needs an index of {', '.join(unbound)} to know its size")
    bound = _sized(type_, sizes)
    if math.prod(bound.shape) > MOST_ADDRESSED_CELLS:
        raise UsageError(
            f"the highest indexes make it {bound}, more than {MOST_ADDRESSED_CELLS} cells:"
            " use nested lists"
        )
    return bound


def _sized(type_: TensorType, sizes: Mapping[str, int]) -> TensorType:
    dimensions = (
        d if d.mapped else Dimension(d.name, mapped=False, size=d.size or sizes[d.name])
        for d in type_.dimensions
    )
    return TensorType(type_.cell, tuple(dimensions))


def _zeros(type_: TensorType) -> np.ndarray:
    return np.zeros(type_.shape, type_.dtype)


def _set_cell(type_: TensorType, block: np.ndarray, address: Mapping[str, Any], cell: Any) -> None:
    index = []
    for name, size in zip(type_.indexed, type_.shape, strict=True):
        label = str(address[name])
        found = _index(label)
        if found is None or found >= size:
            raise UsageError(f"{type_} has no index '{label[:40]}' in dimension '{name}'")
        index.append(found)
    block[tuple(index)] = _block(TensorType(type_.cell), cell)


def _index(label: str) -> int | None:
    """The index that a label is; None for one that no tensor has."""
    return int(label) if label.isdecimal() and len(label) <= 18 else None


def _short(tensor: Tensor, as_hex: bool) -> tuple[str, object]:
    type_ = tensor.type
    if not type_.mapped:
        return "values", _values(type_, tensor.cells[0], as_hex)
    if not type_.indexed:
        if len(type_.mapped) > 1:
            return "cells", _cell_list(tensor)
        return "cells", {labels[0]: _number(cell) for labels, cell in sorted_blocks(tensor)}
    blocks = [(a, _values(type_, block, as_hex)) for a, block in sorted_blocks(tensor)]
    if len(type_.mapped) == 1:
        return "blocks", {labels[0]: values for labels, values in blocks}
    return "blocks", [
        {"address": dict(zip(type_.mapped, labels, strict=True)), "values": values}
        for labels, values in blocks
    ]


def _values(type_: TensorType, block: np.ndarray, as_hex: bool) -> object:
    if not type_.indexed:
        return [_number(block)]
    if as_hex:
        patterns = compress_bfloat16(block) if type_.cell == "bfloat16" else block
        return patterns.astype(_HEX[type_.cell]).tobytes().hex().upper()
    if block.dtype.kind == "f" and not np.all(np.isfinite(block)):
        return np.where(np.isfinite(block), block.astype(object), np.array(None)).tolist()
    return block.astype(np.float64).tolist() if block.dtype.kind == "f" else block.tolist()


def _number(cell: np.ndarray) -> float | int | None:
    if cell.dtype.kind == "i":
        return int(cell)
    return float(cell) if np.isfinite(cell) else None


def _cell_list(tensor: Tensor) -> list[dict[str, object]]:
    type_ = tensor.type
    names = [d.name for d in type_.dimensions]
    cells: list[dict[str, object]] = []
    for labels, block in sorted_blocks(tensor):
        mapped = dict(zip(type_.mapped, labels, strict=True))
        for index in dense_addresses(type_):
            place = mapped | dict(zip(type_.indexed, map(str, index), strict=True))
            address = {name: place[name] for name in names}
            cells.append({"address": address, "value": _number(block[index])})
    return cells


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
