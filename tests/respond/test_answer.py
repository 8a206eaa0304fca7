"""Summaries and answers over a real index, and their JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siftline.encode.script import encode_documents
from siftline.errors import PackageError, QueryError
from siftline.index.index import Index
from siftline.match.prepare import prepare
from siftline.match.query import All, Query
from siftline.rank.ranked import Ranked
from siftline.rank.statistics import PhaseTrace
from siftline.respond.answer import answer
from siftline.respond.filling import finish
from siftline.respond.hits import Coverage, Hit, Result
from siftline.respond.problems import SearchError
from siftline.respond.render import to_json
from siftline.respond.summary import fill, gid, shortest_float, summary_fields
from siftline.schema.definition import Schema
from siftline.schema.package import Settings
from siftline.schema.sd import parse_schema
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SCHEMA = """
schema d {
  document d {
    field title type string { indexing: index | summary }
    field price type float { indexing: attribute | summary }
    field open type bool { indexing: attribute | summary }
    field tags type weightedset<string> { indexing: attribute | summary }
    field list type array<int> { indexing: attribute | summary }
    field vec type tensor<float>(x[2]) { indexing: attribute | summary }
    field tok type tensor<int8>(t{},x[2]) { indexing: attribute | summary }
    field sparse type tensor<float>(t{}) { indexing: attribute | summary }
    field hidden type string { indexing: index }
    field other type string { indexing: index }
  }
  field upper type string { indexing: input title | lowercase | attribute | summary }
  document-summary small { summary title {} summary renamed { source: price } }
  document-summary named inherits small { summary documentid {} summary hidden {} }
}
"""
DOCUMENTS: list[dict[str, Any]] = [
    {
        "title": "First",
        "price": 0.2,
        "open": True,
        "tags": {"a": 1, "b": 2},
        "list": [3, 1],
        "vec": [0.5, 0.25],
        "tok": {"0": [1, 2], "1": [3, 4]},
        "sparse": {"k": 0.5},
        "hidden": "secret",
        "other": "never shown",
    },
    {"title": "Second"},
]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Schema, Index]]:
    schema = parse_schema(SCHEMA)
    with Index.open(tmp_path_factory.mktemp("index"), schema, Settings()) as index:
        named = [(f"id:t:d::{i}", document) for i, document in enumerate(DOCUMENTS)]
        index.write(encode_documents(schema, named, {}))
        yield schema, index


def filled(searched: tuple[Schema, Index], **asked: Any) -> list[Any]:
    schema, index = searched
    return fill(schema, index.snapshot(), np.array([1, 0]), **asked)


def test_the_default_class_shows_what_is_there(searched: tuple[Schema, Index]) -> None:
    second, first = filled(searched)
    assert (second.id, first.id) == ("id:t:d::1", "id:t:d::0")
    assert second.fields == {
        "sddocname": "d", "documentid": "id:t:d::1", "title": "Second", "open": False,
        "upper": "second",
    }  # fmt: skip
    assert first.fields["price"] == 0.2
    assert first.fields["tags"] == {"a": 1, "b": 2}
    assert isinstance(first.fields["vec"], Tensor)
    assert first.fields["hidden"] == "secret"  # another class names it
    assert "other" not in first.fields


def test_other_classes_show_what_they_list(searched: tuple[Schema, Index]) -> None:
    _, first = filled(searched, summary="small")
    assert first.fields == {"title": "First", "renamed": 0.2}
    assert first.id == f"index:content/0/{gid('id:t:d::0')}"
    assert len(gid("x")) == 24
    _, first = filled(searched, summary="named")
    assert first.id == "id:t:d::0"
    assert set(first.fields) == {"title", "renamed", "documentid", "hidden"}


def test_select_filters(searched: tuple[Schema, Index]) -> None:
    _, first = filled(searched, select=("title", "upper"))
    assert first.fields == {"title": "First", "upper": "first"}
    assert first.id == "id:t:d::0"
    _, first = filled(searched, select=("matchfeatures", "other"))
    assert first.fields == {}
    with pytest.raises(QueryError, match="unknown field 'titel'; did you mean 'title'"):
        filled(searched, select=("titel",))


def test_unknown_classes_are_named(searched: tuple[Schema, Index]) -> None:
    with pytest.raises(QueryError, match="invalid presentation.summary: 'smal'.*'small'"):
        filled(searched, summary="smal")


def test_classes_that_inherit_themselves() -> None:
    schema = parse_schema(
        SCHEMA.replace("document-summary small {", "document-summary small inherits named {")
    )
    with pytest.raises(PackageError, match="inherits itself: small -> named -> small"):
        summary_fields(schema, "small")


def test_floats_have_their_shortest_form() -> None:
    assert shortest_float(0.2) == 0.2
    assert shortest_float(float(np.float32(0.2))) == 0.2
    assert shortest_float(16777216.0) == 16777216.0


def answered(searched: tuple[Schema, Index], **asked: Any) -> Result:
    schema, index = searched
    query = Query(All(), profile="unranked", **asked)
    prepared = prepare(query, schema, Settings(), schema.profile("unranked"))
    ranked = Ranked(
        np.array([0, 1]),
        np.array([2.5, -np.inf]),
        {"first-phase": np.array([1.5, -np.inf]), "second-phase": np.array([2.5, np.nan])},
        7,
        (PhaseTrace("first-phase", 9, 7, 0.001),),
        (
            {"f": 1.5, "t": Tensor.blocks(TensorType.parse("tensor<float>(a{})"), {"k": 1.0})},
            {"f": float("nan"), "t": Tensor.scalar(2.0)},
        ),
        ({"s": float("inf")}, {"s": 0.0}),
    )
    matching = PhaseTrace("matching", 20, 9, 0.002)
    found = answer(index.snapshot(), schema, prepared, ranked, matching, time.perf_counter())
    return finish(found)


def test_an_answer(searched: tuple[Schema, Index]) -> None:
    result = answered(searched)
    assert result.ids == ["id:t:d::0", "id:t:d::1"]
    assert [hit.relevance for hit in result] == [2.5, -np.inf]
    assert result[0].scores == {"first-phase": 1.5, "second-phase": 2.5}
    assert result[1].scores == {"first-phase": -np.inf}
    assert result.total == 7 and len(result) == 2
    assert result[0]["title"] == "First"
    assert result.trace is not None
    assert [phase.name for phase in result.trace.phases] == ["matching", "first-phase", "summary"]
    found = result.trace.phase("first-phase")
    assert found is not None and (found.entered, found.left) == (9, 7)
    assert result.trace.phase("global-phase") is None


def test_json(searched: tuple[Schema, Index]) -> None:
    rendered = answered(searched).to_json()
    assert json.loads(json.dumps(rendered, allow_nan=False)) == rendered
    root = rendered["root"]
    assert (root["id"], root["relevance"]) == ("toplevel", 1.0)
    assert root["fields"] == {"totalCount": 7}
    assert root["coverage"] == {
        "coverage": 100, "documents": 2, "full": True, "nodes": 1, "results": 1, "resultsFull": 1,
    }  # fmt: skip
    first, second = root["children"]
    assert (first["id"], first["relevance"], first["source"]) == ("id:t:d::0", 2.5, "content")
    assert second["relevance"] == "-Infinity"
    fields = first["fields"]
    assert fields["matchfeatures"] == {
        "f": 1.5, "t": {"type": "tensor<float>(a{})", "cells": {"k": 1.0}},
    }  # fmt: skip
    assert second["fields"]["matchfeatures"]["f"] == "NaN"
    assert fields["summaryfeatures"] == {"s": "Infinity"}
    assert fields["sddocname"] == "d" and fields["documentid"] == "id:t:d::0"
    assert fields["vec"] == {"type": "tensor<float>(x[2])", "values": [0.5, 0.25]}
    assert fields["tok"] == {
        "type": "tensor<int8>(t{},x[2])", "blocks": {"0": [1, 2], "1": [3, 4]},
    }  # fmt: skip
    assert fields["sparse"] == {"type": "tensor<float>(t{})", "cells": {"k": 0.5}}
    assert fields["tags"] == {"a": 1, "b": 2}
    assert fields["list"] == [3, 1]
    assert second["fields"]["open"] is False
    assert "trace" not in rendered and "timing" not in rendered


def test_tensor_forms(searched: tuple[Schema, Index]) -> None:
    asked = {"presentation.format.tensors": "short-value"}
    rendered = answered(searched, parameters=asked).to_json()
    assert rendered["root"]["children"][0]["fields"]["vec"] == [0.5, 0.25]
    rendered = answered(searched).to_json(tensors="long")
    cells = rendered["root"]["children"][0]["fields"]["sparse"]["cells"]
    assert cells == [{"address": {"t": "k"}, "value": 0.5}]


def test_trace_and_timing_on_request(searched: tuple[Schema, Index]) -> None:
    asked = {"presentation.timing": "true"}
    rendered = answered(searched, trace_level=1, parameters=asked).to_json()
    assert set(rendered["timing"]) == {"querytime", "summaryfetchtime", "searchtime"}
    messages = [child["message"] for child in rendered["trace"]["children"]]
    assert messages[0].startswith("matching: 20 in, 9 out, 2.000 ms")
    assert rendered["trace"]["phases"][1]["name"] == "first-phase"


def test_no_hits_no_children_and_errors() -> None:
    result = Result(
        (), 0, Coverage(10, 40, frozenset({"timeout"})), errors=(SearchError(12, "late", "c"),)
    )
    root = to_json(result)["root"]
    assert "children" not in root
    assert root["errors"] == [
        {"code": 12, "summary": "Timed out", "source": "c", "message": "late"}
    ]
    assert root["coverage"]["full"] is False
    assert root["coverage"]["degraded"] == {
        "match-phase": False, "timeout": True, "adaptive-timeout": False, "non-ideal-state": False,
    }  # fmt: skip


def test_hits_are_values() -> None:
    assert Hit("a", 1.0) == Hit("a", 1.0)
    with pytest.raises(AttributeError):
        Hit("a", 1.0).id = "b"  # type: ignore[misc]


def test_golden_fruit_end_to_end(tmp_path: Path) -> None:
    """Appendix C through the whole engine: two children of three hits."""
    from siftline.application import Application

    folder = Path(__file__).parent.parent / "golden/fruit"
    with Application.open(folder, tmp_path / "data") as app:
        app.feed(folder / "documents.jsonl")
        result = app.query(
            yql="select * from fruit where title contains 'apple' "
            "or ({targetHits:3}nearestNeighbor(vec,q))",
            **{"input.query(q)": [1, 0], "ranking": "r", "hits": 2},
        )
    root = result.to_json()["root"]
    assert root["fields"]["totalCount"] == 3
    assert [child["fields"]["title"] for child in root["children"]] == [
        "red apple", "green apple pie",
    ]  # fmt: skip
    relevances = [child["relevance"] for child in root["children"]]
    assert relevances == pytest.approx([0.032786885, 0.032258065], abs=1e-9)
    features = root["children"][1]["fields"]["matchfeatures"]
    assert features == pytest.approx({"lex": 0.42081720, "sem": 0.51886187}, abs=1e-7)
