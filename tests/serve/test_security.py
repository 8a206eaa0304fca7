"""Who may ask: addresses, tokens, client certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import clients_of, fruit_package, host_of

from siftline.errors import UsageError
from siftline.serve.options import Options
from siftline.serve.security import CLIENTS, checked, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    assert checked(Options(host=host), None) == Options(host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_other_addresses_need_a_token_or_client_certificates(host: str, tmp_path: Path) -> None:
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="can be reached from other machines"):
        checked(Options(host=host), None)
    assert checked(Options(host=host, token="secret"), None).token == "secret"
    pem = tmp_path / "some.pem"
    pem.write_text("")
    with pytest.raises(UsageError, match="can be reached"):
        checked(Options(host=host, tls_cert=pem, tls_key=pem), None)
    options = Options(host=host, tls_cert=pem, tls_key=pem, client_ca=pem)
    assert checked(options, None) == options


def test_halves_of_tls_and_missing_files_are_refused(tmp_path: Path) -> None:
    pem = tmp_path / "some.pem"
    pem.write_text("")
    with pytest.raises(UsageError, match="both --tls-cert and --tls-key"):
        checked(Options(tls_cert=pem), None)
    with pytest.raises(UsageError, match="--client-ca asks for client certificates"):
        checked(Options(client_ca=pem), None)
    with pytest.raises(UsageError, match="there is no file"):
        checked(Options(tls_cert=pem, tls_key=tmp_path / "gone.pem"), None)
    with pytest.raises(UsageError, match="the token is empty"):
        checked(Options(token=" "), None)


def test_the_package_says_which_clients_may_ask(tmp_path: Path) -> None:
    pem = tmp_path / "some.pem"
    pem.write_text("")
    clients = tmp_path / "app" / CLIENTS
    clients.parent.mkdir(parents=True)
    clients.write_text("")
    options = Options(tls_cert=pem, tls_key=pem)
    assert checked(options, tmp_path / "app").client_ca == clients
    assert checked(options, tmp_path).client_ca is None
    # what the operator says comes first, and without TLS there are no certificates
    assert checked(Options(tls_cert=pem, tls_key=pem, client_ca=pem), clients.parent.parent)
    assert checked(Options(), tmp_path / "app").client_ca is None


def test_the_token_is_no_part_of_what_is_shown() -> None:
    assert "secret" not in repr(Options(token="secret"))


def test_a_token_is_asked_for_on_both_ports(tmp_path: Path) -> None:
    folder = fruit_package(tmp_path / "fruit")
    with host_of(folder, Options(token="secret")) as host, clients_of(host) as both:
        for client in both:
            for headers in (
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": "Basic secret"},
                {"authorization": "secret"},
            ):
                response = client.get("/ApplicationStatus", headers=headers)
                assert response.status_code == 401
                assert response.headers["www-authenticate"] == "Bearer"
                assert response.json()["error-code"] == "UNAUTHORIZED"
            for kind in ("Bearer", "bearer"):
                headers = {"authorization": f"{kind} secret"}
                assert client.get("/ApplicationStatus", headers=headers).status_code == 200
            assert client.get("/state/v1/health").status_code == 200
            assert client.get("/metrics").status_code == 401
