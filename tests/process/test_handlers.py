"""Request handlers: bindings, requests, responses, errors."""

from pathlib import Path

import pytest
from packages import write

import siftline
from siftline.errors import ComponentError, UsageError
from siftline.process import Request, Response
from siftline.process.components import Part
from siftline.process.handlers import Binding, Handlers

CODE = """
    from siftline.process import Handler, Request, Response

    class Echo(Handler):
        def handle(self, request):
            return Response.json({"path": request.path, "groups": request.groups,
                                  "input": request.properties.get("input")})

    def broken(request):
        return Response(1 / 0)

    def wrong(request):
        return {"not": "a response"}
"""


def handlers(*patterns: str) -> Handlers:
    bound = []
    for pattern in patterns:
        part = Part(pattern, lambda request, p=pattern: Response(f"{p} {request.groups}"), None)
        bound.append((Binding.parse(pattern), part))
    return Handlers(bound)


@pytest.mark.parametrize(
    ("pattern", "request_", "groups"),
    [
        ("http://*/models/*", Request("GET", "/models/a/b"), ("localhost", "a/b")),
        ("http://*/models/*", Request("GET", "/models/"), ("localhost", "")),
        ("http://*/models/*", Request("GET", "/models"), None),
        ("http://*/models", Request("GET", "/models/"), None),
        ("http://*/*/x", Request("GET", "/a/b/x"), ("localhost", "a/b")),
        ("http://*/a.b", Request("GET", "/aXb"), None),
        ("http://*", Request("GET", "/"), ("localhost",)),
        ("*://example.org/*", Request("GET", "/x", host="example.org"), ("http", "x")),
        ("http://example.org/*", Request("GET", "/x", host="example.com"), None),
        ("https://*/x", Request("GET", "/x"), None),
        ("http://*:8080/x", Request("GET", "/x", port=8080), ("localhost",)),
        ("http://*:8080/x", Request("GET", "/x", port=9090), None),
        ("http://*:*/x", Request("GET", "/x", port=9090), ("localhost",)),
    ],
)
def test_a_binding_matches_urls(
    pattern: str, request_: Request, groups: tuple[str, ...] | None
) -> None:
    assert Binding.parse(pattern).match(request_) == groups


def test_the_binding_that_says_most_answers() -> None:
    some = handlers("http://*/*", "http://*/a/*", "http://*/a/b", "http://example.org/*")
    answer = some.handle(Request("GET", "/a/b"))
    assert answer == Response("http://*/a/b ('localhost',)")
    assert some.handle(Request("GET", "/a/c")) == Response("http://*/a/* ('localhost', 'c')")
    other = some.handle(Request("GET", "/z", host="example.org"))
    assert other == Response("http://example.org/* ('z',)")
    assert handlers("http://*/a").handle(Request("GET", "/b")) is None


def test_requests_read_their_bodies() -> None:
    assert Request("POST", "/", body=b'{"a": [1]}').json() == {"a": [1]}
    for body, message in ((b"{", "not JSON"), (b"\xff", "not UTF-8")):
        with pytest.raises(UsageError, match=message):
            Request("POST", "/", body=body).json()


def test_responses_are_bytes() -> None:
    assert Response("é").content == b"\xc3\xa9" and Response(b"\0").content == b"\0"
    answer = Response.json({"a": "é"}, 201)
    assert (answer.content, answer.status) == ('{"a": "é"}'.encode(), 201)
    assert answer.content_type == "application/json;charset=utf-8"


def test_handlers_of_an_application(tmp_path: Path) -> None:
    container = (
        '<handler id="work.Echo"><binding>http://*/echo/*</binding>'
        "<binding>http://*/e</binding></handler>"
        '<handler id="work.broken"><binding>http://*/broken</binding></handler>'
        '<handler id="work.wrong"><binding>http://*/wrong</binding></handler>'
    )
    with siftline.open(write(tmp_path / "app", container, work=CODE)) as app:
        assert set(app.handlers) == {
            "http://*/echo/*", "http://*/e", "http://*/broken", "http://*/wrong",
        }  # fmt: skip
        assert app.handlers["http://*/e"] is app.handlers["http://*/echo/*"]
        answer = app.handlers.handle(Request("GET", "/echo/1", {"input": "[1]"}))
        assert answer == Response.json(
            {"path": "/echo/1", "groups": ["localhost", "1"], "input": "[1]"}
        )
        with pytest.raises(ComponentError) as error:
            app.handlers.handle(Request("GET", "/broken"))
        assert str(error.value) == (
            "ext/components/work.py:10: component 'work.broken' failed on GET /broken: "
            "ZeroDivisionError: division by zero"
        )
        assert error.value.component == "work.broken"
        with pytest.raises(ComponentError, match="it returned dict, expected Response"):
            app.handlers.handle(Request("GET", "/wrong"))
