"""Requests over TLS, with and without a client certificate."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scripted_server import Server
from siftline.errors import UsageError
from siftline.load.options import TLS_VARIABLE, LoadOptions, Tls, parse_tls
from siftline.load.run import run_load


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somewhere.else")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture
def secure(files: tuple[str, str]) -> Iterator[int]:
    """The port of a server that takes only clients with the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files[0])
    context.load_cert_chain(*files)
    context.verify_mode = ssl.CERT_REQUIRED
    server, loop = Server(), asyncio.new_event_loop()
    listening = loop.run_until_complete(
        asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=context)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield listening.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(listening.close)
    loop.call_later(0.05, loop.stop)
    loop.call_soon_threadsafe(lambda: None)
    thread.join(5)
    loop.close()


def ask(tmp_path: Path, port: int, tls: Tls) -> tuple[int, int]:
    """How many of two requests succeeded and failed."""
    file = tmp_path / "q.txt"
    file.write_text("/a\n/b\n")
    options = LoadOptions(
        (("127.0.0.1", port),), str(file), clients=1, cycle=0, seconds=20, restarts=0, tls=tls
    )
    tally = run_load(options).tally
    return tally.succeeded, tally.failed


def test_a_client_certificate_is_presented(
    tmp_path: Path, secure: int, files: tuple[str, str]
) -> None:
    # The name in the certificate is another one, which vespa-fbench does not look at.
    assert ask(tmp_path, secure, Tls(files[0], *files)) == (2, 0)
    assert ask(tmp_path, secure, Tls(files[0])) == (0, 2)


def test_the_files_come_from_options_or_the_environment(
    tmp_path: Path, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = files
    config = tmp_path / "tls.json"
    names = {"ca-certificates": certificate, "certificates": certificate, "private-key": key}
    config.write_text(json.dumps({"files": names}))
    monkeypatch.setenv(TLS_VARIABLE, str(config))
    both = Tls(certificate, certificate, key)
    assert parse_tls(None, None, None, environment=True) == both
    assert parse_tls(None, None, None, environment=False) is None
    assert parse_tls(certificate, None, None, environment=True) == Tls(certificate)
    monkeypatch.delenv(TLS_VARIABLE)
    assert parse_tls(None, None, None, environment=True) is None


def test_files_that_are_missing_or_half_given(
    tmp_path: Path, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no certificate or key file 'no\.pem'"):
        Tls("no.pem")
    with pytest.raises(UsageError, match="give both -C and -K"):
        Tls(files[0], files[0])
    with pytest.raises(UsageError, match="give -T"):
        parse_tls(None, files[0], files[1], environment=False)
    broken = tmp_path / "tls.json"
    broken.write_text('{"files": {}}')
    monkeypatch.setenv(TLS_VARIABLE, str(broken))
    with pytest.raises(UsageError, match="not a TLS configuration"):
        Tls.from_environment()
