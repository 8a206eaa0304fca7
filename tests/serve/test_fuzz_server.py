"""The fuzz of a running server: what it looks for is a finding, and can be sent again."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bench.fuzz_server.sent import Answer, FindingError, check, raw, send, target, unpacked

ROOT = Path(__file__).parents[2]


def test_a_short_fuzz_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.fuzz_server", "--minutes", "0.05", "--seed", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "findings: 0" in done.stdout


def test_a_finding_says_how_to_send_its_request_again() -> None:
    request = raw("POST", target("/search/", {"yql": "é &"}), {"Accept": "*/*"}, b"\x00{")
    assert request.startswith(b"POST /search/?yql=%C3%A9%20%26 HTTP/1.1\r\nHost: fuzz\r\n")
    with pytest.raises(FindingError, match="status 500: oh no") as caught:
        check(request, Answer(500, "text/plain", b"oh no"), (200, 400), search=True)
    assert unpacked(str(caught.value).split("--again ")[1]) == request


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b'{"root": {}}', None), (b"{", "no JSON"), (b'{"root": NaN}', "no JSON"), (b"{}", "no root")],
)
def test_an_answer_that_is_no_result_is_a_finding(body: bytes, problem: str | None) -> None:
    answer = Answer(200, "application/json", body)
    if problem is None:
        check(b"GET / HTTP/1.1\r\n\r\n", answer, (200,), search=True)
        return
    with pytest.raises(FindingError, match=problem):
        check(b"GET / HTTP/1.1\r\n\r\n", answer, (200,), search=True)


def test_half_an_answer_is_a_finding() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(FindingError, match="no whole answer"):
            send(f"http://127.0.0.1:{server.getsockname()[1]}", b"GET / HTTP/1.1\r\n\r\n")
        thread.join()
