"""Lines of a text file, plain or gzipped, and JSON of each, with their places for messages."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siftline.errors import Place, UsageError

_GZIP_MAGIC = b"\x1f\x8b"


def read_lines(path: Path, *, blank: bool = False) -> Iterator[tuple[Place, str]]:
    """Place and text of each line; UsageError where it cannot be read.

    blank: also of those without anything but white space.
    """
    number = 0
    try:
        with path.open("rb") as probe:
            opened = gzip.open if probe.read(2) == _GZIP_MAGIC else open
        with opened(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if blank or line.strip():
                    yield Place(file=str(path), line=number), line.rstrip("\r\n")
    except FileNotFoundError:
        raise UsageError(f"no such file: '{path}'") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        place = Place(file=str(path), line=number + 1)
        raise UsageError(f"cannot be read: {error}", place) from None


def read_rows(path: Path) -> Iterator[tuple[Place, Any]]:
    """Place and value of each line of JSON; UsageError where it cannot be read or is no JSON."""
    for place, line in read_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"not JSON: {error}", place) from None
        yield place, row
