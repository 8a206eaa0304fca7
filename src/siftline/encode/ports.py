"""Which inputs and outputs a text model has, and whether they are the ones its use needs."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from siftline.errors import ModelError, Place

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.initializer, input and output, names.
_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12
_TENSOR_NAME, _VALUE_NAME = 8, 1


@dataclass(frozen=True, slots=True)
class PortNames:
    """The names under which a transformer takes token ids, mask and types, and gives its output.

    types None: the model takes none. alternative: an output used where `output` does not exist.
    """

    ids: str = "input_ids"
    mask: str = "attention_mask"
    types: str | None = "token_type_ids"
    output: str = "last_hidden_state"
    alternative: str | None = None

    def check(
        self, inputs: Sequence[str], outputs: Sequence[str], place: Place | None = None
    ) -> str:
        """The output to read; ModelError names what the model lacks or wants beyond these.

        A model of one input takes ids, of two also the mask, of three also the types.
        """
        wanted = [self.ids]
        if len(inputs) > 1:
            wanted.append(self.mask)
        if len(inputs) > 2 and self.types:
            wanted.append(self.types)
        for name in wanted:
            if name not in inputs:
                raise ModelError(
                    f"Model does not contain required input: '{name}'. "
                    f"Model contains: {','.join(inputs)}",
                    place,
                )
        for given in inputs:
            if given not in (self.ids, self.mask, self.types):
                raise ModelError(f"nothing fills the model's input '{given}'", place)
        for output in (self.output, self.alternative):
            if output is not None and output in outputs:
                return output
        raise ModelError(
            f"Model does not contain required output: '{self.output}'. "
            f"Model contains: {','.join(outputs)}",
            place,
        )


def read_ports(path: Path) -> tuple[list[str], list[str]]:
    """Names of the inputs and outputs of an ONNX file, without loading its weights.

    ModelError where the file is cut short or is not ONNX.
    """
    try:
        with path.open("rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _graph_ports(data)
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"'{path}' is not an ONNX model or is damaged: {error}") from None


def _graph_ports(data: mmap.mmap) -> tuple[list[str], list[str]]:
    names: dict[int, list[str]] = {_INITIALIZER: [], _INPUT: [], _OUTPUT: []}
    graphs = [
        (start, end) for number, start, end in _fields(data, 0, len(data)) if number == _GRAPH
    ]
    for start, end in graphs:
        for number, low, high in _fields(data, start, end):
            if number in names:
                wanted = _TENSOR_NAME if number == _INITIALIZER else _VALUE_NAME
                names[number] += [
                    data[a:b].decode()
                    for field, a, b in _fields(data, low, high)
                    if field == wanted
                ]
    if not names[_INPUT] or not names[_OUTPUT]:
        raise ValueError("no graph with inputs and outputs")
    weights = set(names[_INITIALIZER])
    return [name for name in names[_INPUT] if name not in weights], names[_OUTPUT]


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number and byte range of each length-delimited field of a protobuf message."""
    position = start
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            _, position = _varint(data, position)
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        elif kind == 2:
            size, position = _varint(data, position)
            if position + size > end:
                raise ValueError("the file ends inside a field")
            yield number, position, position + size
            position += size
        else:
            raise ValueError(f"unknown wire type {kind}")


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
