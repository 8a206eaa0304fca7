"""JSON lines out of a byte stream: one value on each line, or an object spread over lines.

A line that cannot be decoded is a JsonFault and the next line is read. An object that its line
leaves open, as in a pretty-printed document, takes the lines up to the brace that closes it,
which stands no deeper than the one that opens it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from siftline.feed.json_text import JsonFault, decode


def read_lines(stream: BinaryIO, first: bytes, line: int) -> Iterator[tuple[int, Any]]:
    """`(line, value or JsonFault)`; `first` was read already and stands on line `line`."""
    spread: _Spread | None = None
    for number, raw in enumerate(_raw_lines(stream, first), line):
        text = raw.decode("utf-8", "surrogateescape")
        content = text.strip()
        if spread and spread.takes(text, content):
            if spread.closed_by(text, content):
                value = decode("".join(spread.lines))
                if not isinstance(value, JsonFault):
                    yield spread.line, value
                    spread = None
            continue
        if spread:
            yield spread.line, spread.fault
            spread = None
        if not content:
            continue
        value = decode(content)
        if isinstance(value, JsonFault) and value.cut and content.startswith("{"):
            spread = _Spread(number, value, _indent(text), [text])
        else:
            yield number, value
    if spread:
        yield spread.line, decode("".join(spread.lines))


@dataclass
class _Spread:
    """An object whose first line leaves it open."""

    line: int
    fault: JsonFault
    indent: int
    lines: list[str] = field(default_factory=list)

    def takes(self, text: str, content: str) -> bool:
        """Whether the line belongs to this object; then it is kept."""
        if content.startswith("{") and _indent(text) <= self.indent:
            before = next((kept.rstrip() for kept in reversed(self.lines) if kept.strip()), "")
            if content != "{" or not before.endswith(("[", ",", ":")):
                return False
        self.lines.append(text)
        return True

    def closed_by(self, text: str, content: str) -> bool:
        """Whether the line may be the last one."""
        return content.startswith("}") and _indent(text) <= self.indent


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _raw_lines(stream: BinaryIO, first: bytes) -> Iterator[bytes]:
    yield first if first.endswith(b"\n") else first + stream.readline()
    yield from stream
