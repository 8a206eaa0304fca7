"""One HTTP answer, read as it comes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httptools import HttpResponseParser

#: What Vespa's JSON says it found; it stands before the hits.
_TOTAL = re.compile(rb'"totalCount"\s*:\s*(\d+)')
#: Bytes of the body in which that is looked for.
_LOOKED_AT = 16_384
#: Headers with the server's own figures, such as X-Yahoo-Vespa-TotalHitCount.
FIGURES = b"x-yahoo-vespa-"
TOTAL_HEADER = b"x-yahoo-vespa-totalhitcount"


class Answer:
    """Status, headers and body of the answers on one connection; `reset` begins the next.

    Its methods named `on_` are the parser's callbacks. begun: some of it has come; complete: all
    has. keeps_alive: the connection may be used again. keep_body: keep every byte, not only the
    beginning.
    """

    __slots__ = (
        "_headed",
        "_parser",
        "_sized",
        "begun",
        "body",
        "complete",
        "figures",
        "keep_body",
        "keeps_alive",
        "length",
    )

    def __init__(self, keep_body: bool) -> None:
        from httptools import HttpResponseParser

        self.keep_body = keep_body
        self._parser: HttpResponseParser = HttpResponseParser(self)
        self.reset()

    def reset(self) -> None:
        """Expect the next answer."""
        self.begun = self.complete = self.keeps_alive = False
        self._headed = False
        self._sized = False
        self.length = 0
        self.body = b""
        self.figures: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> None:
        """Take what came; httptools.HttpParserError where it is no HTTP."""
        self.begun = True
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the figures of the server and whether the body's end is told by its head."""
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._sized = True
        elif lower.startswith(FIGURES):
            self.figures[lower] = value

    def on_headers_complete(self) -> None:
        """The head was read."""
        self._headed = True

    def on_body(self, data: bytes) -> None:
        """Count the body and keep what is needed of it."""
        self.length += len(data)
        if self.keep_body or len(self.body) < _LOOKED_AT:
            self.body += data

    def on_message_complete(self) -> None:
        """The last byte was read; an interim answer (1xx) is passed over."""
        if self._parser.get_status_code() < 200:
            self.reset()
        else:
            # Asked now: the parser forgets it when the message is over.
            self.keeps_alive = bool(self._parser.should_keep_alive())
            self.complete = True

    @property
    def status(self) -> int:
        """The HTTP status, once the head was read."""
        return int(self._parser.get_status_code())

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection tells where the body ends."""
        return self._headed and not self._sized

    @property
    def total_hits(self) -> int | None:
        """How many documents matched, from the header or Vespa's JSON; None where neither says."""
        header = self.figures.get(TOTAL_HEADER)
        if header is not None and header.isdigit():
            return int(header)
        found = _TOTAL.search(self.body, 0, _LOOKED_AT)
        return int(found[1]) if found else None
