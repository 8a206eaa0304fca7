"""The elements of one JSON array out of a byte stream, one at a time.

Memory holds one element and one chunk. Behind an element that cannot be decoded, reading goes on
behind the bracket that closes it on its line, else with the next line that opens an element no
deeper than this one's line. Where there is neither, reading ends, with a fault.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from siftline.feed.json_text import JsonFault, checked, decoding_fault

CHUNK = 1 << 16

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'\\.|["{}\[\],\n]')
#: a decoding error this near the end of what was read may be gone with the next chunk
_NEAR_END = 12


def read_array(stream: BinaryIO, line: int) -> Iterator[tuple[int, Any]]:
    """`(line, value or JsonFault)` for each element; `[` was read already, on line `line`."""
    text = _Text(stream, line)
    needs_comma = False
    while mark := text.skip_space():
        number = text.line
        if mark == "]":
            text.use(1)
            if text.skip_space():
                yield text.line, JsonFault("text behind the end of the array", end=True)
            return
        if not needs_comma:
            value = text.element()
            yield number, value
            needs_comma = not isinstance(value, JsonFault)
            found = needs_comma or text.recover()
        elif mark == ",":
            needs_comma = False
            text.use(1)
            continue
        else:
            needs_comma = False
            yield number, JsonFault("not JSON: expected ',' or ']' in the array")
            found = mark == "{" or text.recover()
        if not found:
            yield number, JsonFault("no element begins behind this, so reading ends", end=True)
            return
    yield text.line, JsonFault("the array is not closed", end=True)


class _Text:
    """What was read and not used yet, from `at` on; the line of `at`, and that line's indent."""

    def __init__(self, stream: BinaryIO, line: int) -> None:
        self._stream = stream
        self._bytes = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._ended = False
        self.line = line
        self._indent = 0
        self._indenting = False  # only white space stands before `at` on its line

    def skip_space(self) -> str:
        """Use white space; the character behind it, or "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self.use(space.end() - self._at if space else 0)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read(CHUNK)

    def use(self, count: int) -> None:
        """Step over `count` characters that were read."""
        start, end = self._at, self._at + count
        breaks = self._text.count("\n", start, end)
        if breaks:
            start = self._text.rfind("\n", start, end) + 1
            self.line += breaks
            self._indent, self._indenting = 0, True
        if self._indenting:
            piece = self._text[start:end]
            space = len(piece) - len(piece.lstrip(" \t\r"))
            self._indent += space
            self._indenting = space == len(piece)
        self._at = end

    def element(self) -> Any:
        """The value that begins here, stepped over; or a fault, standing still."""
        size = CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not _may_be_cut(error):
                    return decoding_fault(error)
            except (ValueError, RecursionError) as error:
                return decoding_fault(error)
            else:
                # a number this near the end may go on
                whole = isinstance(value, (dict, list, str)) or len(self._text) - end > _NEAR_END
                if whole or self._ended:
                    found = checked(self._text[self._at : end], value)
                    if not isinstance(found, JsonFault):
                        self.use(end - self._at)
                    return found
            self._read(size)
            size *= 2  # as much again as was tried, so that the work stays linear

    def recover(self) -> bool:
        """Stand behind a comma, on an element or on the bracket that ends the array, if any."""
        indent = self._indent
        return self._close_on_line() or self._open_on_line(indent)

    def _close_on_line(self) -> bool:
        """Find the end of the broken element on its own line, by its brackets."""
        depth, quoted = 0, False
        while True:
            done = self._at
            for found in _TOKEN.finditer(self._text, self._at):
                token, done = found.group(), found.end()
                if token == "\n":
                    self.use(found.start() - self._at)
                    return False
                if token == '"':
                    quoted = not quoted
                elif quoted or token[0] == "\\":
                    continue
                elif depth == 0 and token in ",]":
                    self.use(found.start() + (token == ",") - self._at)
                    return True
                elif token in "{[":
                    depth += 1
                elif token in "}]":
                    depth = max(depth - 1, 0)
            if self._ended:
                return False
            end = len(self._text)
            cut = done < end and self._text.endswith("\\")  # an escape that goes on
            self.use(end - cut - self._at)
            self._read(CHUNK)

    def _open_on_line(self, indent: int) -> bool:
        """Find a line that opens an element or ends the array, no deeper than `indent`."""
        opens = re.compile(rf"\n[ \t]{{0,{indent}}}(?:\}}[ \t]*)?(?:,[ \t]*)?(?=[{{\]])")
        while True:
            found = opens.search(self._text, self._at)
            if found:
                self.use(found.end() - self._at)
                return True
            if self._ended:
                return False
            last = self._text.rfind("\n", self._at)  # the last line may be cut: keep it
            self.use((last if last >= 0 else len(self._text)) - self._at)
            self._read(CHUNK)

    def _read(self, size: int) -> None:
        data = self._stream.read(size)
        self._ended = not data
        self._text = self._text[self._at :] + self._bytes.decode(data, final=not data)
        self._at = 0


def _may_be_cut(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated") or error.pos >= len(error.doc) - _NEAR_END
