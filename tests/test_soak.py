"""The soak: a short one passes, and what it looks for is a fault when it happens."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from bench.live import Memory
from bench.soak.client import Client
from bench.soak.notes import Notes
from bench.soak.record import Record

ROOT = Path(__file__).parents[1]


def test_a_short_soak_has_no_faults(tmp_path: Path) -> None:
    out = tmp_path / "soak.png"
    command = [sys.executable, "-m", "bench.soak", "--minutes", "0.05", "--clients", "4"]
    done = subprocess.run(
        [*command, "--names", "10", "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "faults: 0" in done.stdout
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        ([100.0] * 30 + [200.0] * 90, True),  # what a start takes is no growth
        ([100.0] * 90 + [139.0] * 30, True),  # 100 · 1.1 + 30 = 140
        ([100.0] * 90 + [141.0] * 30, False),
        ([100.0] * 40 + [900.0] * 15, True),  # too short to be judged
    ],
)
def test_memory_is_level_up_to_a_tenth_and_30_mib(samples: list[float], level: bool) -> None:
    assert (Memory(samples).faults() == []) == level


def faults(answer: httpx.Response) -> list[str]:
    """Of a client that has one note stored and is always told the same."""
    notes = Notes("c0", 1, random.Random(1))
    notes.acknowledged("c0n0", notes.fresh("c0n0"))
    record = Record()

    async def verify() -> None:
        client = Client(0, "http://server", record, notes)
        await client.close()
        client._http = httpx.AsyncClient(
            base_url="http://server", transport=httpx.MockTransport(lambda _: answer)
        )
        await client.verify()
        await client.close()

    asyncio.run(verify())
    return record.faults


def test_a_failed_request_is_a_fault() -> None:
    found = faults(httpx.Response(500, text="internal"))
    assert len(found) == 3  # the get, the search and the visit
    assert "get: GET /document/v1/soak/note/docid/c0n0 is 500, not 200: internal" in found[0]


def test_a_lost_document_is_a_fault_wherever_it_is_missed() -> None:
    nothing = {"fields": {"name": "c0n0"}, "documents": [], "root": {"fields": {"totalCount": 0}}}
    get, search, visit = faults(httpx.Response(200, json=nothing))
    assert "get c0n0: {'name': 'c0n0'} instead of {" in get
    assert "a search for c0n0v1 finds [] instead of ['c0n0']" in search
    assert "visit of c0 differs at ['c0n0']" in visit
