"""Connections that do nothing are closed, busy ones stay."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator

import pytest

from siftline.serve.connections import Busy, close_idle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is idle")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's end and the server's end of a connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            client.settimeout(5)
            yield client, server


def test_a_silent_connection_is_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    port = server.getsockname()[1]
    time.sleep(0.15)
    assert close_idle([port], (), 5) == 0
    assert close_idle([port + 1], (), 0.1) == 0
    assert close_idle([port], (), 0.1) == 1
    assert client.recv(1) == b""


def test_what_comes_or_goes_keeps_it_open(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    port = server.getsockname()[1]
    for sender, receiver in ((client, server), (server, client)):
        time.sleep(0.3)
        sender.sendall(b"x")
        assert receiver.recv(1) == b"x"
        assert close_idle([port], (), 0.2) == 0


def test_who_waits_for_an_answer_stays(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    port = server.getsockname()[1]
    busy = Busy()
    address, number = client.getsockname()
    first = busy.enter((address, str(number)))
    second = busy.enter((address, number))
    time.sleep(0.15)
    assert close_idle([port], busy.peers(), 0.1) == 0
    busy.leave(first)
    assert close_idle([port], busy.peers(), 0.1) == 0
    busy.leave(second)
    assert busy.peers() == frozenset()
    assert close_idle([port], busy.peers(), 0.1) == 1
    busy.leave(busy.enter(None))
