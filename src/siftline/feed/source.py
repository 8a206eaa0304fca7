"""Where feed bytes come from: a file, a BEIR folder, standard input, each plain or gzipped."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from siftline.errors import UsageError

GZIP_MAGIC = b"\x1f\x8b"
STDIN = "-"
#: what reading compressed or broken bytes may raise
READ_ERRORS = (OSError, EOFError, zlib.error)
CORPUS_NAMES = ("corpus.jsonl", "corpus.jsonl.gz")


def feed_file(source: str | Path) -> Path | None:
    """The file to read: `source` itself, the corpus of a BEIR folder, None for `-`.

    UsageError where there is no such file or the folder holds no corpus.
    """
    if str(source) == STDIN:
        return None
    path = Path(source)
    if path.is_dir():
        for name in CORPUS_NAMES:
            if (path / name).is_file():
                return path / name
        raise UsageError(f"folder '{path}' holds no corpus ({' or '.join(CORPUS_NAMES)})")
    if not path.exists():
        raise UsageError(f"no such file or folder: '{path}'")
    return path


@contextmanager
def open_bytes(path: Path | None) -> Iterator[BinaryIO]:
    """The bytes of a file, or of standard input for None; gzip is known by its first two bytes."""
    if path is None:
        buffered = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
        try:
            yield _unzipped(buffered)
        finally:
            buffered.detach()  # standard input stays open
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from None
    with file:
        yield _unzipped(file)


def _unzipped(stream: io.BufferedReader[Any]) -> BinaryIO:
    if stream.peek(2)[:2] == GZIP_MAGIC:
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    return stream


def first_byte(stream: BinaryIO) -> tuple[int, bytes]:
    """The line of the first byte that is neither white space nor a byte order mark, and the byte.

    No byte where the stream has none.
    """
    line, mark = 1, b""
    while byte := stream.read(1):
        if codecs.BOM_UTF8.startswith(mark + byte) and line == 1:
            mark = b"" if mark + byte == codecs.BOM_UTF8 else mark + byte
        elif mark or byte not in b" \t\r\n":
            return line, mark + byte
        elif byte == b"\n":
            line += 1
    return line, mark
