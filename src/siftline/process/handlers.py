"""Request handlers: code of the package's that answers HTTP requests at paths of its own."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from siftline.errors import PackageError, Place, UsageError
from siftline.process.components import Part
from siftline.process.faults import user_code, wrong_return
from siftline.respond.render import value_json
from siftline.schema.read_chains import BINDING

JSON_TYPE = "application/json;charset=utf-8"
TEXT_TYPE = "text/plain;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    properties: parameters of the query string and of a form body, the first of each name. headers:
    by name in lower case. groups: what each `*` of the binding stands for, in the pattern's order.
    """

    method: str
    path: str
    properties: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    scheme: str = "http"
    host: str = "localhost"
    port: int | None = None
    groups: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The body as UTF-8; UsageError where it is none."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"the body is not UTF-8 text: {error}") from None

    def json(self) -> Any:
        """The body as JSON; UsageError where it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the body is not JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered: bytes or text, a status, a content type and other headers."""

    body: bytes | str = b""
    status: int = 200
    content_type: str = TEXT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def json(value: Any, status: int = 200) -> Response:
        """A JSON body; tensors in their short form, numpy numbers as plain ones."""
        return Response(json.dumps(value_json(value), ensure_ascii=False), status, JSON_TYPE)

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body


class Handler(ABC):
    """Answers requests at the paths that services.xml binds it to.

    One object serves every request, from several threads at once. `close` is called when the
    application is closed.
    """

    @abstractmethod
    def handle(self, request: Request) -> Response:
        """The answer to a request."""

    def close(self) -> None:
        """Let go of what the handler holds."""
        return None


@dataclass(frozen=True, slots=True)
class Binding:
    """A URL pattern, `http://*/path/*`; a `*` is any text, in the path slashes included."""

    pattern: str
    scheme: re.Pattern[str]
    host: re.Pattern[str]
    port: int | None
    path: re.Pattern[str]

    @staticmethod
    def parse(pattern: str, place: Place | None = None) -> Binding:
        """PackageError where the pattern is none."""
        found = BINDING.fullmatch(pattern)
        if not found:
            raise PackageError(
                f"'{pattern}' is no binding (expected http://*/path, * for any text)", place
            )
        port = found["port"]
        return Binding(
            pattern,
            _wild(found["scheme"]),
            _wild(found["host"]),
            int(port) if port and port != "*" else None,
            _wild(found["path"] or "/"),
        )

    @property
    def precise(self) -> tuple[int, int, int]:
        """How much of a URL the pattern says: of several that match, the one that says most."""
        host, path = self.host.pattern, self.path.pattern
        said = [len(text.replace("(.*)", "").replace("\\", "")) for text in (path, host)]
        return (said[0], said[1], self.port is not None)

    def match(self, request: Request) -> tuple[str, ...] | None:
        """What the `*` of the pattern stand for in the request's URL, None where it differs."""
        if self.port is not None and self.port != request.port:
            return None
        parts = (
            (self.scheme, request.scheme),
            (self.host, request.host),
            (self.path, request.path),
        )
        groups: tuple[str, ...] = ()
        for pattern, text in parts:
            found = pattern.fullmatch(text)
            if not found:
                return None
            groups += found.groups()
        return groups


def _wild(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", "(.*)"), re.DOTALL)


class Handlers(Mapping[str, Part]):
    """The handlers of an application by binding."""

    def __init__(self, bound: Sequence[tuple[Binding, Part]]) -> None:
        self._bound = sorted(bound, key=lambda pair: pair[0].precise, reverse=True)
        self._parts = {binding.pattern: part for binding, part in self._bound}

    def __getitem__(self, binding: str) -> Part:
        return self._parts[binding]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def find(self, request: Request) -> tuple[Part, Request] | None:
        """The handler of a request, and the request with the binding's groups; None without one."""
        for binding, part in self._bound:
            groups = binding.match(request)
            if groups is not None:
                return part, replace(request, groups=groups)
        return None

    def handle(self, request: Request) -> Response | None:
        """The answer to a request, None where no binding matches its URL.

        ComponentError: the handler raises or returns no Response.
        """
        found = self.find(request)
        if found is None:
            return None
        part, bound = found
        about = f"on {request.method} {request.path}"
        with user_code(part.id, about):
            response = part.call(bound)
        if not isinstance(response, Response):
            raise wrong_return(part.id, about, response, "Response")
        return response
