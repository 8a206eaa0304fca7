"""What a load test takes and what it refuses; the command line over it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripted_server import Server
from siftline.errors import UsageError
from siftline.load.options import LoadOptions, formatted, parse_hosts
from siftline.load.plot import Point, plot_latency
from siftline.load.sweep import parse_clients

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(siftline_command: Command) -> Command:
    """`siftline fbench` with arguments: exit status, standard output, standard error."""
    return partial(siftline_command, "fbench")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"clients": 0}, "at least 1 client"),
        ({"processes": 0}, "at least 1 process"),
        ({"cycle": -2}, "-c takes a number from -1"),
        ({"restarts": -2}, "-r takes"),
        ({"ignore": -2}, "-i takes"),
        ({"seconds": 0}, "-s takes a time above 0"),
        ({"seconds": float("nan")}, "-s takes a time above 0"),
        ({"least_bytes": -1}, "-l takes"),
        ({"most_line": 100}, "-m takes a number from 1024"),
        ({"headers": ("no colon",)}, "not a header: 'no colon'"),
        ({"headers": ("A: b\r\nC: d",)}, "not a header"),
        ({"headers": ("host: h",)}, "-A host:port"),
        ({"append": "a\r\nb"}, "one line"),
        ({"queries": "q%s%s.txt"}, "is not a pattern"),
        ({"hosts": ()}, "name the host and port"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LoadOptions(**{"hosts": (("h", 1),), **given})


def test_patterns_hosts_and_client_lists() -> None:
    assert formatted("query%03d.txt", 7) == "query007.txt"
    assert formatted("queries.txt", 7) == "queries.txt"
    assert parse_hosts(["a", "8080", "b", "81"]) == (("a", 8080), ("b", 81))
    for words in (["a"], [], ["a", "0"], ["a", "http"], ["a", "65536"], ["a", "1", "b"]):
        with pytest.raises(UsageError):
            parse_hosts(words)
    assert parse_clients("1, 2,16") == (1, 2, 16)
    for text in ("", "1,,2", "0", "a", "-1"):
        with pytest.raises(UsageError):
            parse_clients(text)


def test_the_command_as_the_benchmarks_call_it(
    run: Command, tmp_path: Path, server: Server
) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text('/search/\n{"yql": "select * from doc where true"}\n')
    code, out, err = run(
        "-P", "-q", queries, "-s", 20, "-n", 2, "-c", 0, "-r", 1, "localhost", server.port
    )
    assert (code, err) == (0, "")
    assert "\nclients:                       2\n" in out
    assert "\nsuccessful requests:           4\n" in out
    assert out.endswith("\nhttp request status breakdown:\n       200 :        4 \n")
    assert server.asked[0].body == b'{"yql": "select * from doc where true"}'


def test_failures_are_explained_on_standard_error(
    run: Command, tmp_path: Path, server: Server
) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("/bad\n")
    code, out, err = run(
        "-q", queries, "-n", 1, "-c", 0, "-r", 1, "--json", "127.0.0.1", server.port
    )
    assert (code, json.loads(out)["failed"]) == (0, 2)
    assert err == '2 failed: status 400, such as: {"message":"no such field"}\n'


def test_the_summary_every_so_often(run: Command, tmp_path: Path, server: Server) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("/slow\n")
    code, out, _ = run("-q", queries, "-s", 1.6, "-p", 1, "-c", 0, "127.0.0.1", server.port)
    assert code == 0
    assert out.count("Benchmark Summary") == 2
    assert out.startswith("\nRuntime: 1 sec\n*** HTTP keep-alive statistics ***\n")


def test_a_sweep_prints_its_table_and_draws(run: Command, tmp_path: Path, server: Server) -> None:
    queries, plot = tmp_path / "queries.txt", tmp_path / "plot.png"
    queries.write_text("/slow\n")
    code, out, err = run(
        "--sweep", "1,2", "--plot", plot, "-q", queries, "-s", 0.3, "-c", 0, "localhost",
        server.port,
    )  # fmt: skip
    assert code == 0, err
    head, *lines = out.splitlines()
    assert head.split("  ") == ["Clients", "Average latency", "95p latency", "Queries/s"]
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert str(plot) in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("localhost",), "expected host and port, in pairs"),
        (("localhost", "http"), "'http' is not a port"),
        (("-q", "none.txt", "localhost", "8080"), "cannot read the query file 'none.txt'"),
        (("-p", "-1", "localhost", "8080"), "-p takes"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(
    run: Command, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("siftline: ") and message in err and err.count("\n") == 1


def test_a_plot_needs_figures_and_a_kind_it_knows(tmp_path: Path) -> None:
    nothing = {"": [Point(1, 0.0, 0.0, 0.0)]}
    with pytest.raises(UsageError, match="nothing to plot"):
        plot_latency(nothing, tmp_path / "a.png")
    with pytest.raises(UsageError, match="cannot draw into"):
        plot_latency({"": [Point(1, 10.0, 1.0, 2.0)]}, tmp_path / "a.docx")
