"""A server killed while it deploys packages: what was acknowledged is there at its next start."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import httpx
from deploying import INSTANCE, TENANT, ZIP, changed, zipped
from serving import FILES, fruit_package, running

#: 1 in the suite; `SIFTLINE_CRASH_ROUNDS=20` for the long version
ROUNDS = int(os.environ.get("SIFTLINE_CRASH_ROUNDS", "1"))
LAYOUTS = [zipped(FILES), zipped(changed("stemming: none", "stemming: best"))]


def feed_until(url: str, first: int, fed: list[int], over: threading.Event) -> None:
    """Feed documents numbered from `first`; those acknowledged go to `fed`."""
    number = first
    while not over.is_set():
        fields = {"title": f"apple {number}", "price": number}
        try:
            path = f"{url}/document/v1/d/fruit/docid/{number}"
            answer = httpx.post(path, json={"fields": fields}, timeout=10)
        except httpx.HTTPError:
            return
        if answer.status_code == 200:
            fed.append(number)
        number += 1


def found(url: str) -> set[int]:
    """The numbers of all documents that are stored and, as the same number, that are searched."""
    ids: set[int] = set()
    parameters = {"wantedDocumentCount": "1000"}
    while True:
        page = httpx.get(f"{url}/document/v1/d/fruit/docid", params=parameters, timeout=30).json()
        ids |= {int(document["id"].rpartition(":")[2]) for document in page["documents"]}
        if "continuation" not in page:
            break
        parameters["continuation"] = page["continuation"]
    query = {"yql": "select * from fruit where title contains 'apple' limit 0", "timeout": "20s"}
    root = httpx.post(f"{url}/search/", json=query, timeout=30).json()["root"]
    assert root["fields"]["totalCount"] == len(ids)
    return ids


def test_a_server_killed_while_it_deploys_has_lost_nothing(tmp_path: Path) -> None:
    randomness = random.Random(11)
    folder = fruit_package(tmp_path / "fruits")
    fed: list[int] = []
    session = 0
    for _ in range(ROUNDS):
        with running(folder) as server:
            assert set(fed) <= found(server.url)
            state = httpx.get(f"{server.config_url}{INSTANCE}").json()
            assert state["generation"] >= session
            over = threading.Event()
            first = 1 + max(fed, default=0) + 1000
            feeder = threading.Thread(target=feed_until, args=(server.url, first, fed, over))
            feeder.start()
            killer = threading.Timer(1 + randomness.random(), server.process.kill)
            killer.start()
            until = time.monotonic() + 10
            try:
                while time.monotonic() < until:
                    path = f"{server.config_url}{TENANT}/prepareandactivate"
                    body = randomness.choice(LAYOUTS)
                    answer = httpx.post(path, content=body, headers=ZIP, timeout=30)
                    assert answer.status_code == 200, answer.text
                    session = int(answer.json()["session-id"])
            except httpx.HTTPError:
                pass  # it is dead
            over.set()
            feeder.join(30)
            killer.join()
    with running(folder) as server:
        assert set(fed) <= found(server.url)
        assert len(fed) > ROUNDS
        assert session > 1
