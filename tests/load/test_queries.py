"""Query files as vespa-fbench reads them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.load.options import LoadOptions
from siftline.load.queries import Request, part, read_requests

HOSTS = (("localhost", 8080),)


def read(tmp_path: Path, text: str | bytes, options: LoadOptions) -> list[Request]:
    file = tmp_path / "queries.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_requests(str(file), options, "localhost:8080")


def test_a_get_file_has_a_path_on_each_line(tmp_path: Path) -> None:
    requests = read(tmp_path, "/search/?query=a\n\n/search/?query=b\r\n", LoadOptions(HOSTS))
    assert [request.path for request in requests] == [b"/search/?query=a", b"/search/?query=b"]
    assert requests[0].wire == (
        b"GET /search/?query=a HTTP/1.1\r\nHost: localhost:8080\r\n"
        b"User-Agent: siftline-fbench\r\n\r\n"
    )


def test_a_post_block_is_a_path_and_the_lines_up_to_the_next(tmp_path: Path) -> None:
    text = '/search/\n{"yql": "a",\n "hits": 0}\n/search/?x=1\n{"yql": "b"}\n'
    requests = read(tmp_path, text, LoadOptions(HOSTS, post=True))
    assert [request.path for request in requests] == [b"/search/", b"/search/?x=1"]
    heads, bodies = zip(*((r.wire or b"").split(b"\r\n\r\n", 1) for r in requests), strict=True)
    assert bodies == (b'{"yql": "a",\n "hits": 0}', b'{"yql": "b"}')
    assert b"\r\nContent-Length: 24\r\n" in heads[0] + b"\r\n"
    assert heads[1].startswith(b"POST /search/?x=1 HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json" in heads[0]


def test_lines_before_the_first_path_of_a_post_file_are_passed_over(tmp_path: Path) -> None:
    requests = read(tmp_path, "# queries\n/a\nbody", LoadOptions(HOSTS, post=True))
    assert [(r.path, (r.wire or b"").rsplit(b"\r\n", 1)[1]) for r in requests] == [(b"/a", b"body")]


def test_base64_content_is_decoded(tmp_path: Path) -> None:
    options = LoadOptions(HOSTS, post=True, base64=True)
    content = base64.b64encode(b"\x00\xffbody").decode()
    requests = read(tmp_path, f"/a\n{content}\n", options)
    assert (requests[0].wire or b"").endswith(b"\r\n\r\n\x00\xffbody")
    with pytest.raises(UsageError, match=r"queries.txt:3: content is not base64"):
        read(tmp_path, f"/a\n{content}\n/b\n%%%\n".replace(f"/a\n{content}\n", "\n\n"), options)


def test_the_headers_asked_for_are_sent(tmp_path: Path) -> None:
    options = LoadOptions(
        HOSTS,
        post=True,
        headers=("Content-Type: application/cbor", "X-Token: t"),
        authority="api.example:80",
        append="&trace=1",
        benchmark=True,
        coverage=True,
        keep_alive=False,
    )
    wire = read(tmp_path, "/a?b\nx\n", options)[0].wire or b""
    lines = wire.decode().split("\r\n")
    assert lines == [
        "POST /a?b&trace=1 HTTP/1.1",
        "Host: api.example:80",
        "Content-Type: application/cbor",
        "X-Token: t",
        "User-Agent: siftline-fbench",
        "Connection: close",
        "X-Yahoo-Vespa-Benchmarkdata: true",
        "X-Yahoo-Vespa-Benchmarkdata-Coverage: true",
        "Content-Length: 1",
        "",
        "x",
    ]


def test_a_path_longer_than_the_limit_is_to_be_skipped(tmp_path: Path) -> None:
    text = f"/{'a' * 1023}\n/{'a' * 1024}\n"
    requests = read(tmp_path, text, LoadOptions(HOSTS, most_line=1024))
    assert [request.wire is None for request in requests] == [False, True]


@pytest.mark.parametrize(
    ("text", "post", "message"),
    [
        ("", False, "holds no request"),
        ("no path\n", True, "lines that start with '/'"),
        (f"/{'a' * 9000}\n", False, r"longer than 8192 bytes \(-m\)"),
    ],
)
def test_a_file_without_a_request_to_send(
    tmp_path: Path, text: str, post: bool, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, text, LoadOptions(HOSTS, post=post))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot read the query file 'no\.txt': No such file"):
        read_requests("no.txt", LoadOptions(HOSTS), "h:1")


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_parts_of_a_shared_file_are_all_of_it(count: int, clients: int) -> None:
    requests = [Request(b"/%d" % i, b"") for i in range(count)]
    parts = [part(requests, number, clients) for number in range(clients)]
    assert all(parts)
    assert {request.path for share in parts for request in share} == {r.path for r in requests}
    if clients <= count:
        assert [request for share in parts for request in share] == requests
