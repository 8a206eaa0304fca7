"""Load tests against a server on this machine: every request is accounted for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripted_server import Server
from siftline.errors import UsageError
from siftline.load.options import LoadOptions
from siftline.load.result import LoadResult
from siftline.load.run import run_load
from siftline.load.sweep import run_sweep


def load(tmp_path: Path, server: Server, text: str, **given: Any) -> LoadResult:
    """What a load test measures that ends with the query file."""
    file = tmp_path / "queries.txt"
    file.write_text(text)
    settings = {"clients": 1, "cycle": 0, "seconds": 20.0, "restarts": 0, **given}
    hosts = settings.pop("hosts", (("127.0.0.1", server.port),))
    return run_load(LoadOptions(hosts, str(file), **settings))


def test_every_answer_is_counted(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/a\n/none\n/none\n/slow\n", restarts=4)
    tally = result.tally
    assert (tally.succeeded, tally.failed, tally.zero_hits) == (20, 0, 10)
    assert tally.statuses == {200: 20}
    assert (tally.reused, server.connections) == (19, 1)
    assert tally.not_held == 20  # back to back, no cycle is ever held
    assert [asked.line.split()[1] for asked in server.asked[:4]] == [
        "/a",
        "/none",
        "/none",
        "/slow",
    ]
    # 5 of 20 answers take 50 ms; the others much less.
    assert result.percentile(99) >= 50.0 > result.percentile(50)
    assert tally.times.least <= result.average <= tally.times.most
    assert result.rate == pytest.approx(20 / tally.seconds)
    assert 0 < result.utilization <= 100


def test_post_blocks_arrive_as_written(tmp_path: Path, server: Server) -> None:
    text = '/search/\n{"yql": "a",\n"hits": 0}\n/search/?x\n{}\n'
    result = load(tmp_path, server, text, post=True, headers=("X-Token: t",))
    assert result.tally.succeeded == 2
    assert [(a.line, a.body) for a in server.asked] == [
        ("POST /search/ HTTP/1.1", b'{"yql": "a",\n"hits": 0}'),
        ("POST /search/?x HTTP/1.1", b"{}"),
    ]
    assert server.asked[0].headers["x-token"] == "t"
    assert server.asked[0].headers["content-type"] == "application/json"
    assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_failures_have_their_reasons(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/a\n/bad\n/cut\n/garbage\n/b\n", least_bytes=10)
    tally = result.tally
    assert (tally.succeeded, tally.failed) == (2, 3)
    assert tally.statuses == {200: 2, 400: 1}
    assert tally.failures["status 400"] == 1
    assert "no such field" in tally.examples["status 400"]
    assert tally.failures["the server closed the connection"] == 1
    assert any(reason.startswith("not HTTP: ") for reason in tally.failures)


def test_a_short_answer_is_a_failure(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/a\n", least_bytes=1000)
    assert (result.tally.succeeded, result.tally.failed) == (0, 1)
    assert result.tally.failures == {"less than 1000 bytes": 1}
    assert result.tally.statuses == {200: 1}


def test_refused_connections_are_failures(tmp_path: Path, server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    result = load(tmp_path, server, "/a\n/b\n/c\n", hosts=(("127.0.0.1", port),))
    assert (result.tally.succeeded, result.tally.failed) == (0, 3)
    assert result.tally.failures == {"connection refused": 3}
    assert not result.tally.statuses


@pytest.mark.parametrize("path", ["/chunked", "/until-end", "/once"])
def test_every_way_to_end_an_answer(tmp_path: Path, server: Server, path: str) -> None:
    result = load(tmp_path, server, f"{path}\n", restarts=2, least_bytes=60)
    assert (result.tally.succeeded, result.tally.failed) == (3, 0)
    assert server.connections == (1 if path == "/chunked" else 3)


def test_a_connection_closed_while_idle_is_made_again(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/idle\n", restarts=3, cycle=30)
    assert (result.tally.succeeded, result.tally.failed) == (4, 0)
    assert server.connections == 4


def test_without_keep_alive_each_request_connects(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/a\n/b\n", keep_alive=False)
    assert (result.tally.succeeded, result.tally.reused, server.connections) == (2, 0, 2)
    assert server.asked[0].headers["connection"] == "close"


def test_the_first_results_are_not_counted(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/slow\n/slow\n/a\n/bad\n/b\n", ignore=2)
    assert (result.tally.succeeded, result.tally.failed) == (2, 1)
    assert result.tally.times.count == 2
    assert result.tally.seconds < result.ran - 0.09  # two slow ones came before
    assert sum(result.tally.statuses.values()) == 5
    none = load(tmp_path, server, "/a\n/b\n", ignore=-1)
    assert (none.tally.succeeded, none.tally.failed) == (0, 0)


def test_a_cycle_is_held(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/a\n", restarts=2, cycle=150)
    assert (result.tally.succeeded, result.tally.not_held) == (3, 0)
    assert result.tally.seconds >= 0.44
    late = load(tmp_path, server, "/slow\n", restarts=2, cycle=10)
    assert late.tally.not_held == 3


def test_a_negative_cycle_waits_as_long_as_the_answer_took(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, "/slow\n", restarts=1, cycle=-1)
    assert result.tally.succeeded == 2
    assert result.tally.seconds > 0.19  # twice 50 ms, and twice as long to wait
    assert 25 < result.utilization < 55


def test_too_long_a_path_is_skipped(tmp_path: Path, server: Server) -> None:
    result = load(tmp_path, server, f"/{'a' * 2000}\n/b\n", most_line=1024, restarts=1)
    assert (result.tally.succeeded, result.tally.skipped) == (2, 2)


def test_each_client_has_its_file_or_its_part(tmp_path: Path, server: Server) -> None:
    for number in range(3):
        (tmp_path / f"query{number:03}.txt").write_text(f"/of-{number}\n")
    options = LoadOptions(
        (("127.0.0.1", server.port),), str(tmp_path / "query%03d.txt"), 3, 0, 20, restarts=0
    )
    run_load(options)
    assert sorted(a.line.split()[1] for a in server.asked) == ["/of-0", "/of-1", "/of-2"]
    server.asked.clear()
    paths = [f"/{i}" for i in range(7)]
    load(tmp_path, server, "\n".join(paths), clients=3, shared=True)
    assert sorted(a.line.split()[1] for a in server.asked) == paths
    server.asked.clear()
    load(tmp_path, server, "/x\n", clients=3)
    assert len(server.asked) == 3


def test_clients_take_turns_between_hosts_and_processes(tmp_path: Path, server: Server) -> None:
    hosts = (("127.0.0.1", server.port), ("localhost", server.port))
    result = load(tmp_path, server, "/a\n", clients=4, processes=2, hosts=hosts)
    assert (result.tally.clients, result.tally.succeeded, server.connections) == (4, 4, 4)
    named = sorted(asked.headers["host"].split(":")[0] for asked in server.asked)
    assert named == ["127.0.0.1", "127.0.0.1", "localhost", "localhost"]


def test_time_ends_a_test(tmp_path: Path, server: Server) -> None:
    seen: list[LoadResult] = []
    file = tmp_path / "q.txt"
    file.write_text("/slow\n")
    options = LoadOptions((("127.0.0.1", server.port),), str(file), 4, 0, seconds=0.5)
    result = run_load(options, seen.append, every=0.1)
    assert 0.5 <= result.ran < 5.0
    assert 8 <= result.tally.succeeded <= 44
    assert result.tally.failed == 0  # what was asked when the time was over is answered
    counts = [watched.tally.succeeded for watched in seen]
    assert counts == sorted(counts) and 0 < counts[-1] <= result.tally.succeeded


def test_answers_go_to_the_output(tmp_path: Path, server: Server) -> None:
    load(tmp_path, server, "/header\n/bad\n", output=str(tmp_path / "out%03d.txt"), benchmark=True)
    parts = (
        (tmp_path / "out000.txt")
        .read_text()
        .split("[--xxyyzz--FBENCH_MAGIC_DELIMITER--zzyyxx--]\n")
    )
    assert parts[0] == "" and parts[3] == ""
    assert parts[1].startswith("URL: /header\n\nx-yahoo-vespa-totalhitcount: 0\n")
    assert '"totalCount":3' in parts[1] and "TIME USED: 0." in parts[1]
    assert "no such field" in parts[2]


def test_the_header_tells_the_hits(tmp_path: Path, server: Server) -> None:
    assert load(tmp_path, server, "/header\n/a\n").tally.zero_hits == 1


def test_what_is_wrong_is_said_before_any_request(tmp_path: Path, server: Server) -> None:
    with pytest.raises(UsageError, match="holds no request"):
        load(tmp_path, server, "")
    with pytest.raises(UsageError, match=r"no address for host 'no\.such\.host\.invalid'"):
        load(tmp_path, server, "/a\n", hosts=(("no.such.host.invalid", 80),))
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path, server, "/a\n", output=str(tmp_path / "none" / "out.txt"))
    assert not server.asked


def test_a_sweep_measures_each_number_of_clients(tmp_path: Path, server: Server) -> None:
    file = tmp_path / "q.txt"
    file.write_text("/slow\n")
    options = LoadOptions((("127.0.0.1", server.port),), str(file), cycle=0, seconds=0.4)
    sweep = run_sweep(options, (1, 4))
    assert [row[0] for row in sweep.rows()] == ["1", "4"]
    one, four = (result.rate for result in sweep.results)
    assert four > 2 * one  # the server only sleeps
    with pytest.raises(UsageError, match="needs an end"):
        run_sweep(replace(options, seconds=-1), (1,))


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
def test_ctrl_c_prints_what_there_is(tmp_path: Path, server: Server) -> None:
    file = tmp_path / "q.txt"
    file.write_text("/slow\n")
    # Whoever started the tests in the background may have had Ctrl-C ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from siftline.__main__ import main; main()"
    command = [sys.executable, "-c", code, "fbench", "--json", "-q", str(file), "-s", "-1"]
    command += ["-n", "2", "-c", "0", "127.0.0.1", str(server.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        until = time.monotonic() + 30
        while len(server.asked) < 6 and time.monotonic() < until:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        out, error = run.communicate(timeout=30)
    assert (run.returncode, error) == (0, b"")
    figures = json.loads(out)
    assert figures["successful"] == sum(figures["status"].values()) >= 4
    assert figures["failed"] == 0
