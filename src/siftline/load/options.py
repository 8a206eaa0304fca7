"""What a load test does, in the words of vespa-fbench (Vespa benchmarking reference)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from siftline.errors import Place, UsageError

#: The shortest limit of a line that can be asked for.
LEAST_LINE = 1024
#: Names the JSON file with the key and certificates that `-D` uses, as for every Vespa program.
TLS_VARIABLE = "VESPA_TLS_CONFIG_FILE"


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form; the server's host name is not checked, as in vespa-fbench."""

    authorities: str
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("a client certificate needs its private key: give both -C and -K")
        for name in filter(None, (self.authorities, self.certificate, self.key)):
            if not Path(name).is_file():
                raise UsageError(f"there is no certificate or key file '{name}'")

    @classmethod
    def from_environment(cls) -> Tls | None:
        """What the file that VESPA_TLS_CONFIG_FILE names says; None where it is not set."""
        name = os.environ.get(TLS_VARIABLE)
        if not name:
            return None
        try:
            files = json.loads(Path(name).read_text(encoding="utf-8"))["files"]
            return cls(files["ca-certificates"], files.get("certificates"), files["private-key"])
        except OSError as error:
            raise UsageError(f"cannot read {TLS_VARIABLE} '{name}': {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"not a TLS configuration: {error!r}", Place(name)) from None


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """One load test; the letter is vespa-fbench's flag.

    hosts: names and ports, given to the clients in turn. queries (-q): a file, or a pattern such
    as `query%03d.txt` that gives each client its own. clients (-n). cycle (-c): milliseconds from
    one request of a client to its next, 0 back to back, -1 twice the response time. seconds (-s):
    -1 is until interrupted. post (-P): files hold a path and the lines of its content. restarts
    (-r): how often a file is used again, -1 without limit. ignore (-i): first results of each
    client that are not counted, -1 all. least_bytes (-l): a shorter body is a failure. shared
    (-z): each client takes its part of one file. base64 (-d): content is encoded. append (-a): put
    after every path. headers (-H): `Name: value`. authority (-A): Host header. output (-o): file
    or pattern that gets the answers. benchmark (-x), coverage (-y): ask the server for its figures
    in headers and write them to the output. most_line (-m): bytes of a path line. processes: that
    the clients are spread over; None leaves it to the machine.
    """

    hosts: tuple[tuple[str, int], ...]
    queries: str = "query%03d.txt"
    clients: int = 10
    cycle: int = 1000
    seconds: float = 60.0
    post: bool = False
    restarts: int = -1
    ignore: int = 0
    least_bytes: int = 0
    shared: bool = False
    base64: bool = False
    append: str = ""
    headers: tuple[str, ...] = ()
    authority: str | None = None
    output: str | None = None
    benchmark: bool = False
    coverage: bool = False
    most_line: int = 8192
    keep_alive: bool = True
    tls: Tls | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        if not self.hosts:
            raise UsageError("name the host and port to ask: siftline fbench … localhost 8080")
        if self.clients < 1:
            raise UsageError(f"there must be at least 1 client, not {self.clients}")
        if self.processes is not None and self.processes < 1:
            raise UsageError(f"there must be at least 1 process, not {self.processes}")
        for letter, value in (("c", self.cycle), ("r", self.restarts), ("i", self.ignore)):
            if value < -1:
                raise UsageError(f"-{letter} takes a number from -1, not {value}")
        if self.seconds != -1 and not self.seconds > 0:
            raise UsageError(f"-s takes a time above 0, or -1 for no end, not {self.seconds:g}")
        if self.least_bytes < 0:
            raise UsageError(f"-l takes a number from 0, not {self.least_bytes}")
        if self.most_line < LEAST_LINE:
            raise UsageError(f"-m takes a number from {LEAST_LINE}, not {self.most_line}")
        self._check_texts()

    @property
    def worker_count(self) -> int:
        """How many processes the clients are spread over."""
        wanted = self.processes or max(1, min(4, (os.cpu_count() or 1) // 2))
        return min(wanted, self.clients)

    def _check_texts(self) -> None:
        for header in self.headers:
            name, colon, _ = header.partition(":")
            if not colon or not name.strip() or set("\r\n") & set(header):
                raise UsageError(f"not a header: '{header}' (expected 'Name: value')")
            if name.strip().lower() == "host":
                raise UsageError("name the host with -A host:port, not with a header")
        if not self.queries or set("\r\n") & set(self.append + (self.authority or "")):
            raise UsageError("-q needs a file, and -a and -A must each be one line")
        formatted(self.queries, 0)
        formatted(self.output or "", 0)


def formatted(pattern: str, number: int) -> str:
    """The file that a pattern such as `query%03d.txt` means for a client, counted from 0."""
    if "%" not in pattern:
        return pattern
    try:
        return pattern % number
    except (TypeError, ValueError) as error:
        raise UsageError(f"'{pattern}' is not a pattern such as query%03d.txt: {error}") from None


def parse_hosts(words: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """`host port host port …` as pairs."""
    if len(words) % 2 or not words:
        raise UsageError("expected host and port, in pairs: siftline fbench … localhost 8080")
    pairs = []
    for host, port in zip(words[::2], words[1::2], strict=True):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError(f"'{port}' is not a port (expected 1 to 65535 after '{host}')")
        pairs.append((host, int(port)))
    return tuple(pairs)


def parse_tls(
    authorities: str | None, certificate: str | None, key: str | None, *, environment: bool
) -> Tls | None:
    """The TLS files of -T, -C and -K; with -D those of the environment where none is named."""
    if authorities is not None:
        return Tls(authorities, certificate, key)
    if certificate is not None or key is not None:
        raise UsageError("a client certificate needs the authority's certificates: give -T")
    return Tls.from_environment() if environment else None
