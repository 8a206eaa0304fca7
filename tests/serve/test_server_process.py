"""The server as a process: protocols, limits of connections, TLS, and how it stops."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from serving import Running, fed_package, fruit_package, running
from typer.testing import CliRunner

from siftline.__main__ import app
from siftline.application import Application
from siftline.errors import UsageError

IDLE_SECONDS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = fed_package(tmp_path_factory.mktemp("process") / "fruit")
    with running(folder, "--idle", str(IDLE_SECONDS), "--max-body", "1") as started:
        yield started


def connect(url: str) -> socket.socket:
    host, port = re.sub("https?://", "", url).split(":")
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize("http2", [False, True])
def test_both_protocols_on_both_ports(server: Running, http2: bool) -> None:
    with httpx.Client(http1=not http2, http2=http2) as client:
        response = client.post(f"{server.url}/search/", json={"query": "apple"})
        assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert response.json()["root"]["fields"] == {"totalCount": 2}
        for url in (server.url, server.config_url):
            assert client.get(f"{url}/ApplicationStatus").status_code == 200


def test_hundreds_of_streams_of_one_connection(server: Running) -> None:
    async def ask_all() -> set[int]:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http1=False, http2=True, timeout=60, limits=limits) as client:

            async def ask(number: int) -> int:
                query = {"query": "apple", "timeout": "30s", "hits": number % 3}
                return (await client.post(f"{server.url}/search/", json=query)).status_code

            await ask(0)
            return set(await asyncio.gather(*map(ask, range(300))))

    assert asyncio.run(ask_all()) == {200}


def test_a_body_over_the_limit_and_a_chunked_one(server: Running) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"query":'
        yield b'"apple"}'

    headers = {"content-type": "application/json"}
    response = httpx.post(f"{server.url}/search/", content=chunks(), headers=headers)
    assert response.json()["root"]["fields"] == {"totalCount": 2}
    big = b'{"query":"' + b"x" * (1 << 20) + b'"}'
    response = httpx.post(f"{server.url}/search/", content=big, headers=headers)
    assert response.status_code == 413


def test_a_client_that_sends_no_request_is_cut_off(server: Running) -> None:
    for start in (b"", b"P", b"GET /search/?query=apple HTTP/1.1\r\nHost: a\r\n"):
        with connect(server.url) as slow:
            slow.sendall(start)
            began = time.monotonic()
            rest = slow.recv(1000)
            assert rest == b"" or b" 408 " in rest.split(b"\r\n")[0]
            assert time.monotonic() - began < IDLE_SECONDS + 10


def test_half_a_request_that_ends_harms_nobody(server: Running) -> None:
    head = b"POST /search/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with connect(server.url) as broken:
        broken.sendall(head + b'Content-Length: 100\r\n\r\n{"query":')
    with connect(server.url) as broken:
        broken.sendall(b"\x00\xff not http at all\r\n\r\n")
        assert b" 400 " in broken.recv(1000).split(b"\r\n")[0]
    assert httpx.get(f"{server.url}/search/?query=apple").status_code == 200


def test_many_idle_connections_leave_room_for_requests(server: Running) -> None:
    idle = [connect(server.url) for _ in range(1000)]
    try:
        assert httpx.get(f"{server.url}/search/?query=apple").status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    folder = fruit_package(tmp_path / "fruit")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", str(folder), "--port", str(port)])
        assert isinstance(result.exception, UsageError)
        assert f"cannot listen on 127.0.0.1:{port}: another process listens" in str(
            result.exception
        )
    assert not (tmp_path / "fruit.siftline").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines"),
        (["--host", "no such host"], "cannot listen on no such host"),
        (["--port", "70000"], "cannot listen on 127.0.0.1:70000"),
        (["--tls-cert", "gone.pem"], "both --tls-cert and --tls-key"),
    ],
)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    folder = fruit_package(tmp_path / "fruit")
    if "--host" in arguments and "0.0.0.0" not in arguments:
        arguments = [*arguments, "--token", "t"]
    result = CliRunner().invoke(app, ["serve", str(folder), "--config-port", "0", *arguments])
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_a_folder_without_a_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("")
    for folder, message in ((tmp_path, "no services.xml"), (tmp_path / "gone", "no folder")):
        arguments = ["serve", str(folder), "--port", "0", "--config-port", "0"]
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, UsageError)
        assert message in str(result.exception)


def test_a_signal_finishes_what_was_accepted(tmp_path: Path) -> None:
    folder = fed_package(tmp_path / "fruit")
    log = tmp_path / "access.log"
    with running(folder, "--access-log", log) as server:
        slow = connect(server.url)
        body = b'{"query":"apple"}'
        head = "POST /search/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        until(lambda: "siftline_requests_open 2.0" in httpx.get(f"{server.url}/metrics").text)
        stopped: list[int] = []
        stopping = threading.Thread(target=lambda: stopped.append(server.stop()))
        stopping.start()
        until(lambda: refuses(server.url))
        assert not stopped
        slow.sendall(body[5:])
        answer = slow.recv(10_000)
        slow.close()
        assert b" 200 " in answer.split(b"\r\n")[0] and b"red apple" in answer
        stopping.join(30)
        assert stopped == [0]
    assert json.loads(log.read_text().splitlines()[-1])["path"] == "/search/"
    with Application.open(folder) as application:  # nothing holds the index any more
        assert application.query(query="apple").total == 2


def test_a_shutdown_does_not_wait_for_ever(tmp_path: Path) -> None:
    with running(fed_package(tmp_path / "fruit"), "--grace", "0.5") as server:
        with connect(server.url) as stuck:
            stuck.sendall(b"POST /search/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
            until(lambda: "siftline_requests_open 2.0" in httpx.get(f"{server.url}/metrics").text)
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 15


def test_without_a_package_it_waits_for_one(tmp_path: Path) -> None:
    with running("--data", tmp_path / "data") as server:
        assert httpx.get(f"{server.config_url}/ApplicationStatus").status_code == 200
        response = httpx.get(f"{server.url}/search/?query=apple")
        assert response.status_code == 503
        assert server.stop(signal.SIGINT) == 0


def test_tls_asks_for_the_certificates_that_the_package_lets_in(tmp_path: Path) -> None:
    folder = fed_package(tmp_path / "fruit")
    write_certificate(tmp_path, "server")
    write_certificate(tmp_path, "client")
    write_certificate(tmp_path, "stranger")
    (folder / "security").mkdir()
    (folder / "security" / "clients.pem").write_bytes((tmp_path / "client.pem").read_bytes())
    files = ("--tls-cert", tmp_path / "server.pem", "--tls-key", tmp_path / "server.key")
    with running(folder, *files) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}/status.html", verify=context)
        stranger = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        stranger.load_cert_chain(tmp_path / "stranger.pem", tmp_path / "stranger.key")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}/status.html", verify=stranger)
        context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        with httpx.Client(verify=context, http2=True) as client:
            response = client.get(f"{server.url}/search/?query=apple")
            assert (response.status_code, response.http_version) == (200, "HTTP/2")


def write_certificate(folder: Path, name: str) -> None:
    """A certificate that signs itself, for 127.0.0.1, as NAME.pem and NAME.key."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def refuses(url: str) -> bool:
    try:
        connect(url).close()
    except OSError:
        return True
    return False


def until(holds: object, seconds: float = 15) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not (callable(holds) and holds()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
