"""Who may ask: the address the server binds, the API token, client certificates."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from siftline.errors import UsageError
from siftline.serve.answers import error_response
from siftline.serve.options import Options

#: The certificates of clients that a package lets in, as Vespa Cloud has it.
CLIENTS = "security/clients.pem"

#: What a load balancer asks without a token.
OPEN_PATHS = frozenset({"/state/v1/health", "/status.html"})

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})


def checked(options: Options, package: Path | None) -> Options:
    """The options, with the client certificates that the package asks for; UsageError if unsafe.

    An address that others can reach is refused without a token or client certificates.
    """
    if bool(options.tls_cert) != bool(options.tls_key):
        raise UsageError("TLS needs both --tls-cert and --tls-key")
    if options.client_ca and not options.tls_cert:
        raise UsageError("--client-ca asks for client certificates, which need --tls-cert")
    for path in (options.tls_cert, options.tls_key, options.client_ca):
        if path is not None and not path.is_file():
            raise UsageError(f"there is no file '{path}'")
    clients = package / CLIENTS if package is not None else None
    if options.tls_cert and options.client_ca is None and clients and clients.is_file():
        options = replace(options, client_ca=clients)
    if not is_loopback(options.host) and not (options.token or options.client_ca):
        raise UsageError(
            f"{options.host} can be reached from other machines: give --token (or "
            "SIFTLINE_TOKEN), or TLS with --client-ca, or listen on 127.0.0.1"
        )
    if options.token is not None and not options.token.strip():
        raise UsageError("the token is empty")
    return options


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to bind."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


class TokenGuard:
    """Answers 401 to requests without `Authorization: Bearer TOKEN`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._allowed(scope):
            await self._app(scope, receive, send)
            return
        answer = error_response(
            401, "Authorization: Bearer TOKEN is missing or wrong", {"WWW-Authenticate": "Bearer"}
        )
        await answer(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, token = bytes(value).partition(b" ")
                return kind.lower() == b"bearer" and hmac.compare_digest(
                    token.strip(), self._wanted
                )
        return False
