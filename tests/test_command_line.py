"""Every command over a small package: what it prints, and how it ends."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from siftline.__main__ import app, models_app

Run = Callable[..., tuple[int, str, str]]

FRUIT = Path(__file__).parent / "golden" / "fruit"


@pytest.fixture
def run(siftline_command: Run) -> Run:
    """Run `siftline` with arguments: exit status, standard output, standard error."""
    return siftline_command


@pytest.fixture
def data(run, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    folder = tmp_path / "index"
    code, out, err = run("feed", FRUIT, FRUIT / "documents.jsonl", "--data", folder)
    assert code == 0, err
    assert "3 put" in out
    return folder


def test_query_prints_hits_or_json(run, data: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run(
        "query", FRUIT, "apple", "--ranking", "r", "--data", data, "--trace",
        "-p", "ranking.globalPhase.rerankCount=0",
    )  # fmt: skip
    assert code == 0
    assert "::1" in out and "matching" in out and "first-phase" in out
    code, out, _ = run(
        "query", FRUIT, "--yql", 'select * from fruit where title contains "pie"', "--ranking", "r",
        "--data", data, "--json", "-p", "ranking.globalPhase.rerankCount=0",
    )  # fmt: skip
    children = json.loads(out)["root"]["children"]
    assert (code, [child["fields"]["title"] for child in children]) == (0, ["green apple pie"])


def test_get_visit_remove_and_stat(run, data: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("visit", FRUIT, "--data", data)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, len(lines)) == (0, 3)
    first = lines[0]["put"]
    assert json.loads(run("get", FRUIT, first, "--data", data)[1]) == lines[0]
    assert run("remove", FRUIT, first, "--data", data)[0] == 0
    code, _, err = run("get", FRUIT, first, "--data", data)
    assert code == 1 and first in err
    facts = json.loads(run("stat", FRUIT, "--data", data, "--json")[1])
    assert facts["schemas"]["fruit"]["documents"] == 2

    # what a visit prints, a feed reads
    file = tmp_path / "visited.jsonl"
    file.write_text(out)
    assert run("feed", FRUIT, file, "--data", tmp_path / "copy")[0] == 0
    assert run("visit", FRUIT, "--data", tmp_path / "copy")[1] == out


def test_a_bad_document_is_named_and_the_others_go_in(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "some.jsonl"
    file.write_text('{"_id": "1", "title": "good"}\n{"_id": "2", "titel": "bad"}\n{"_id": "3"\n')
    code, out, err = run("feed", FRUIT, file, "--data", tmp_path / "index", "--json")
    assert code == 1
    assert json.loads(out)["put"] == 1 and json.loads(out)["errors"] == 2
    assert f"{file}:2" in err and "title" in err and f"{file}:3" in err


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("query", FRUIT, "apple", "--ranking", "rr"), 2, "rr"),
        (("query", FRUIT, "--yql", "select"), 2, "L1"),
        (("query", FRUIT, "apple", "-p", "hits"), 2, "NAME=VALUE"),
        (("feed", FRUIT, "no-such-file.jsonl"), 2, "no-such-file.jsonl"),
        (("query", "no-such-package", "apple"), 1, "no-such-package"),
        (("models", "show", "splade-tinny"), 2, "splade-tiny"),
        (("qurey",), 2, "qurey"),
        (("query", FRUIT, "apple", "--hitz", "3"), 2, "--hitz"),
    ],
)
def test_an_error_is_short_and_has_its_exit_status(  # type: ignore[no-untyped-def]
    run, data: Path, arguments: tuple[object, ...], code: int, named: str
) -> None:
    extra = ("--data", data) if arguments[0] in ("query", "feed") else ()
    got, out, err = run(*arguments, *extra)
    assert (got, out) == (code, "")
    assert named in err
    assert "Traceback" not in err


def test_verbose_shows_the_traceback(run, data: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run("-v", "query", FRUIT, "apple", "--ranking", "rr", "--data", data)
    assert code == 2
    assert "Traceback" in err


def test_every_command_has_help_with_an_example() -> None:
    for group in (app, models_app):
        for command in group.registered_commands:
            assert command.callback is not None
            assert command.callback.__doc__
            assert re.match(r"Example: siftline \w+", command.epilog or ""), command.callback


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A collection of two documents and two queries, one of which finds nothing."""
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": n, "title": t} for n, t in (("a", "red apple"), ("b", "blue apple sky"))]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    queries = [{"_id": "q1", "text": "apple"}, {"_id": "q2", "text": "nothing here"}]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\nq2\tb\t1\n")
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package for it; `other` ranks by length against bm25."""
    folder = tmp_path / "fruit"
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text((FRUIT / "services.xml").read_text())
    (folder / "schemas" / "fruit.sd").write_text(
        """schema fruit {
             document fruit {
               field title type string { indexing: index | summary
                 index: enable-bm25 }
               field text type string { indexing: summary }
             }
             fieldset default { fields: title }
             rank-profile text { first-phase { expression: bm25(title) } }
             rank-profile other {
               first-phase { expression: 2 * bm25(title) + 0.01 * fieldLength(title) }
             }
           }"""
    )
    return folder


def test_eval_writes_runs_and_prints_its_json(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, beir: Path, package: Path
) -> None:
    out_folder = tmp_path / "out"
    code, out, err = run(
        "eval", package, "--data", beir, "--split", "test", "--out", out_folder, "--json"
    )
    assert code == 0, err
    result = json.loads(out)
    assert (result["data"], result["split"]) == ("tiny", "test")
    text = result["profiles"][0]
    assert text["profile"] == "text" and text["queries"] == 2
    assert (text["mrr@10"], text["recall@100"]) == (0.25, 0.5)
    assert text["latency_ms"]["p99"] > 0
    assert (out_folder / "text.trec").read_text().startswith("q1 Q0 a 1 ")
    assert (out_folder / "text.tsv").read_text() == "q1\ta\t1\nq1\tb\t2\n"
    assert (out_folder / "quality.png").stat().st_size > 1000


def test_tune_finds_the_weights_that_put_the_relevant_first(  # type: ignore[no-untyped-def]
    run, beir: Path, package: Path
) -> None:
    code, out, err = run(
        "tune", package, "--data", beir, "--profile", "other", "--split", "test", "--json"
    )
    assert code == 0, err
    tuned = json.loads(out)
    assert tuned["written"] == {"bm25(title)": 2.0, "fieldLength(title)": 0.01}
    before, after = tuned["figures"]["test"]
    assert before < after == 0.5
    weights = tuned["tuned"]
    assert weights["fieldLength(title)"] > 0.05 * weights["bm25(title)"]
