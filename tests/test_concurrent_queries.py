"""Queries from many threads, with documents coming and going beside them, answer as alone.

The application is fresh, so its models, plans and caches are opened by whoever comes first. What is
fed meanwhile lies outside of what the queries ask for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import TensorProto, helper, numpy_helper

import siftline
from siftline.application import Application
from siftline.match.deadline import Deadline
from siftline.respond.hits import Result

THREADS, ROUNDS, STABLE = 8, 3, 60
WORDS = ["sun", "moon", "star", "rain", "wind", "snow", "tree", "lake"]

SERVICES = """<services version="1.0">
  <container id="default" version="1.0">
    <component id="{one}" type="hugging-face-embedder">
      <transformer-model path="models/m.onnx"/><tokenizer-model path="models/t.json"/>
      <transformer-output>hidden</transformer-output>
    </component>
    <component id="{two}" type="hugging-face-embedder">
      <transformer-model path="models/m.onnx"/><tokenizer-model path="models/t.json"/>
      <transformer-output>hidden</transformer-output><normalize>true</normalize>
    </component>
    <search/><document-api/>
  </container>
  <content id="c" version="1.0"><documents><document type="d" mode="index"/></documents></content>
</services>
""".format(one="plain", two="unit")

SCHEMA = """schema d {
  document d {
    field title type string { indexing: index | summary | attribute
      index: enable-bm25 }
    field group type string { indexing: attribute
      rank: filter }
    field n type int { indexing: attribute | summary }
    field ids type tensor<float>(d0[8]) { indexing: attribute }
    field words type tensor<float>(w{}) { indexing: attribute }
  }
  field vec type tensor<float>(x[4]) {
    indexing: input title | embed unit | attribute | index
    attribute { distance-metric: angular }
  }
  onnx-model ranker { file: models/m.onnx
    input input_ids: input_ids
    input attention_mask: attention_mask
    input token_type_ids: token_type_ids
  }
  rank-profile p {
    inputs {
      query(q) tensor<float>(x[4])
      query(ids) tensor<float>(d0[4])
      query(w) tensor<float>(w{})
    }
    function input_ids() { expression: tokenInputIds(16, query(ids), attribute(ids)) }
    function token_type_ids() { expression: tokenTypeIds(16, query(ids), attribute(ids)) }
    function attention_mask() { expression: tokenAttentionMask(16, query(ids), attribute(ids)) }
    first-phase { expression: closeness(field, vec) + attribute(n) / 1000 }
  }
  rank-profile three inherits p {
    second-phase { rerank-count: 30 expression: sum(query(q) * attribute(vec)) + firstPhase }
    global-phase { rerank-count: 10 expression: sum(onnx(ranker).logits) }
    match-features: closeness(field, vec) firstPhase
  }
  rank-profile sparse inherits p {
    first-phase { expression: sum(query(w) * attribute(words)) + attribute(n) / 1000 }
  }
}
"""


def write_models(folder: Path) -> None:
    """A masked mean of token vectors as `hidden` and its logit, and a tokenizer of WORDS."""
    random = np.random.default_rng(3)
    tables = {"tokens": (120, 4), "types": (2, 4), "out": (4, 1)}
    values = {name: random.normal(0, 1, shape).astype(np.float32) for name, shape in tables.items()}
    constants = {**values, "last": np.array([2]), "middle": np.array([1])}
    nodes = [
        ("Gather", ["tokens", "input_ids"], "t", {}),
        ("Gather", ["types", "token_type_ids"], "k", {}),
        ("Add", ["t", "k"], "hidden", {}),
        ("Cast", ["attention_mask"], "m", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["m", "last"], "m3", {}),
        ("Mul", ["hidden", "m3"], "h", {}),
        ("ReduceSum", ["h", "middle"], "s", {"keepdims": 0}),
        ("MatMul", ["s", "out"], "logits", {}),
    ]
    ports = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        [helper.make_node(kind, taken, [given], **rest) for kind, taken, given, rest in nodes],
        "m",
        [helper.make_tensor_value_info(p, TensorProto.INT64, ["b", "n"]) for p in ports],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 1]),
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["b", "n", 4]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    vocabulary = {"[UNK]": 0, **{word: 10 + i for i, word in enumerate(WORDS)}}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    raw.save(str(folder / "t.json"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("concurrent") / "app"
    for name in ("schemas", "models", "ext"):
        (folder / name).mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES)
    (folder / "schemas/d.sd").write_text(SCHEMA)
    (folder / "ext/siftline.toml").write_text('[schemas.d]\nsparse-index = ["words"]\n')
    write_models(folder / "models")
    return folder


def document(number: int, group: str) -> dict[str, Any]:
    random = np.random.default_rng(number)
    title = " ".join(random.choice(WORDS, 4))
    ids = [int(i) for i in random.integers(1, 100, 5)]
    return {
        "_id": f"{group}{number}",
        "title": title,
        "group": group,
        "n": number,
        "ids": [*ids, 0, 0, 0],
        "words": {word: float(random.random()) for word in title.split()},
    }


def requests() -> list[dict[str, Any]]:
    """Every way of matching, with every kind of ranking; only stable documents are asked for."""
    found = []
    for i, word in enumerate(WORDS):
        text = f"{word} {WORDS[(i + 3) % len(WORDS)]}"
        inputs = {
            "input.query(q)": f'embed({("plain", "unit")[i % 2]}, "{text}")',
            "input.query(ids)": [1 + i, 2, 3, 0],
            "input.query(w)": {word: 1.0, "tree": 0.5},
        }
        where = [
            f"title contains '{word}'",
            "({targetHits:20}nearestNeighbor(vec, q))",
            "({targetHits:20, approximate:false}nearestNeighbor(vec, q))",
            "({targetHits:20}nearestNeighbor(words, w))",
            f"n < 40 and !(title contains '{word}')",
        ]
        profile = ("three", "p", "sparse")[i % 3]
        found += [
            {
                "yql": f"select * from d where group contains 'stable' and {one}",
                "ranking": profile,
                "hits": 20,
                **inputs,
            }
            for one in where
        ]
    return found


@dataclass(frozen=True)
class Answer:
    """What must be the same; scores may differ by the rounding of shared runs."""

    hits: list[tuple[Any, ...]]
    scores: list[float]

    def check(self, other: Answer) -> None:
        assert self.hits and other.hits == self.hits
        assert other.scores == pytest.approx(self.scores, rel=1e-5, abs=1e-6)


def shown(result: Result) -> Answer:
    assert not result.coverage.degraded
    hits = [(hit.id, hit["title"], sorted(hit.scores), sorted(hit.fields)) for hit in result]
    return Answer(hits, [hit.relevance for hit in result])


@contextmanager
def coming_and_going(app: Application) -> Iterator[list[int]]:
    """Documents of another group, fed and removed by another thread until the block ends."""
    over = threading.Event()
    fed = [0]

    def feed() -> None:
        while not over.is_set():
            start = fed[0]
            report = app.feed(document(1000 + start + i, "other") for i in range(12))
            assert report.put == 12 and not report.errors
            app.remove(*(f"other{1000 + start + i}" for i in range(0, 12, 2)))
            fed[0] += 12
            over.wait(0.02)

    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(feed)
        try:
            yield fed
        finally:
            over.set()
            feeding.result(60)


def answers(app: Application, request: Mapping[str, Any]) -> Answer:
    return shown(app.query(**request))


@pytest.mark.parametrize("cached", [None, 0])
def test_answers_do_not_depend_on_who_else_asks_or_feeds(
    package: Path, tmp_path: Path, cached: int | None
) -> None:
    stable = [document(i, "stable") for i in range(STABLE)]
    asked = requests()
    with siftline.open(package, tmp_path / "alone") as app:
        app.feed(stable)
        expected = [answers(app, request) for request in asked]
    with siftline.open(package, tmp_path / "beside") as app:
        app.feed(stable)
    with siftline.open(package, tmp_path / "beside", query_cache=cached) as app:
        ready = threading.Barrier(THREADS)

        def ask(thread: int) -> None:
            random = np.random.default_rng(thread)
            ready.wait(30)
            for place in random.permutation(np.arange(len(asked)).repeat(ROUNDS)[:: THREADS // 2]):
                expected[place].check(answers(app, asked[place]))

        with coming_and_going(app) as fed, ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(ask, range(THREADS)))
        assert fed[0] > 0
        for request, before in zip(asked, expected, strict=True):
            before.check(answers(app, request))


def test_a_late_query_leaves_the_others_alone(package: Path, tmp_path: Path) -> None:
    """Queries that run out of time at any moment, among others that must not notice."""
    asked = requests()[:10]
    with siftline.open(package, tmp_path / "data") as app:
        app.feed(document(i, "stable") for i in range(STABLE))
        expected = [answers(app, request) for request in asked]

        def ask(number: int) -> None:
            query = app.request(**asked[number % len(asked)])
            if number % 2:
                limit = Deadline.after(number * 0.00005)
                try:
                    app.search(replace(query, deadline=limit))
                except siftline.SiftlineError as error:
                    assert "Timed out" in str(error)
            else:
                expected[number % len(asked)].check(shown(app.search(query)))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(ask, range(200)))
