"""What an operator chooses when the server is started."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server.

    body: bytes of a request body, as sent and after unpacking (413 beyond). package: the same on
    the config port. threads: queries answered at once. waiting: queries that may wait for a thread
    (503 beyond). connections: open connections of the container's port. idle: seconds until a
    connection over which nothing goes, or half of a request's headers, is closed. body_pause:
    seconds within which a body has to begin; each KB gives it one more (408 beyond). grace: seconds
    that a shutdown waits for what was accepted.
    """

    body: int = 100 * MB
    package: int = 2048 * MB
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    waiting: int = 1024
    connections: int = 16_384
    idle: float = 60.0
    body_pause: float = 20.0
    grace: float = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """Addresses, secrets and limits.

    token: what `Authorization: Bearer TOKEN` must say; None asks for none. tls_cert, tls_key: PEM
    files, for TLS on both ports. client_ca: PEM file; clients must show a certificate that it
    signed. access_log: file of JSON lines, `-` is standard error. allow_components: whether a
    package with Python components may be deployed over HTTP. data: folder for the index and the
    deployed packages. query_cache: bytes for the encodings of earlier queries, 0 for none, None as
    the package says.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    config_port: int = 19071
    token: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    access_log: str | None = None
    allow_components: bool = False
    data: Path | None = None
    query_cache: int | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def scheme(self) -> str:
        """`https` with a certificate, else `http`."""
        return "https" if self.tls_cert else "http"
