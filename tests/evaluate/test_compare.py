"""Comparison, its JSON, its table, the report and the plot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from siftline.errors import MissingExtraError, UsageError
from siftline.evaluate.compare import HEADINGS, Comparison, compare, notes, rows, to_json
from siftline.evaluate.judgments import Collection
from siftline.evaluate.plot import plot_quality
from siftline.evaluate.report import main, quality_report

QUERIES = [f"q{i}" for i in range(20)]
COLLECTION = Collection(
    "tiny", "test", {q: q for q in QUERIES}, {query: {"right": 1} for query in QUERIES}
)


def comparison() -> Comparison:
    """`late` has every answer at rank 2, `first` at rank 1, `half` has half of the answers."""
    late = {query: [("x", 2.0), ("right", 1.0)] for query in QUERIES}
    first = {query: [("right", 2.0)] for query in QUERIES}
    half = {query: [("right", 2.0)] for query in QUERIES[:10]}
    runs = {"late": late, "first": first, "half": half}
    return compare(COLLECTION, runs, {name: [0.002] * 19 + [0.012] for name in runs})


def test_json_has_exactly_the_documented_keys() -> None:
    found = json.loads(json.dumps(to_json(comparison())))
    assert found == {
        "data": "tiny",
        "split": "test",
        "profiles": [
            {
                "profile": name,
                "ndcg@10": ndcg,
                "mrr@10": mrr,
                "recall@100": recall,
                "queries": 20,
                "latency_ms": {"mean": 2.5, "p99": 12.0},
            }
            for name, ndcg, mrr, recall in (
                ("late", 0.63093, 0.5, 1.0),
                ("first", 1.0, 1.0, 1.0),
                ("half", 0.5, 0.5, 0.5),
            )
        ],
    }


def test_the_table_marks_what_differs_from_the_first() -> None:
    table = rows(comparison())
    assert all(len(row) == len(HEADINGS) for row in table)
    assert table[0] == ("late", "0.6309", "0.5000", "1.0000", "2.50", "2.00", "12.00")
    assert table[1][1:4] == ("1.0000+", "1.0000+", "1.0000")
    assert table[2][3] == "0.5000-"
    said = " ".join(notes(comparison()))
    assert "20 judged queries" in said and "half answered nothing to 10 queries" in said


def test_significance_is_that_of_each_measure() -> None:
    late, first, half = comparison().profiles
    assert late.p_values == {}
    assert first.p_values["ndcg@10"] < 0.001 and first.p_values["recall@100"] == 1
    assert half.p_values["mrr@10"] > 0.05


def test_wrong_use_is_told() -> None:
    with pytest.raises(UsageError, match="no rank profile"):
        compare(COLLECTION, {}, {})
    with pytest.raises(UsageError, match="profile 'a' has a run and no times"):
        compare(COLLECTION, {"a": {}}, {})


def test_the_report_has_a_table_for_each_result(tmp_path: Path) -> None:
    result = to_json(comparison())
    text = quality_report([result, {**result, "data": "other"}], {"tiny": {"first": 0.99}})
    assert "## tiny, split test\n\n20 queries.\n" in text and "## other, split test" in text
    assert "| first | 1.0000 | 0.99 | 1.0000 | 1.0000 | 2.5 | 12.0 |" in text
    assert "| half | 0.5000 |  | 0.5000 |" in text
    assert "| half | 0.5000 | 0.5000 | 0.5000 | 2.5 | 12.0 |" in text
    source, out = tmp_path / "result.json", tmp_path / "docs" / "quality.md"
    source.write_text(json.dumps(result))
    assert main([str(source), "--out", str(out)]) == 0
    assert out.read_text() == quality_report([result])


def test_a_broken_result_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("{")
    assert main([str(tmp_path / "result.json")]) == 1
    assert "cannot read" in capsys.readouterr().err
    (tmp_path / "result.json").write_text('{"data": "x"}')
    assert main([str(tmp_path / "result.json")]) == 1
    assert "a result has no 'split'" in capsys.readouterr().err


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_quality(comparison(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    plot_quality(comparison(), tmp_path / "plot.svg", "mrr@10")
    drawn = (tmp_path / "plot.svg").read_text()
    assert all(f"<!-- {profile} -->" in drawn for profile in ("late", "first", "half"))


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"siftline\[plot\]"):
        plot_quality(comparison(), tmp_path / "plot.png")
