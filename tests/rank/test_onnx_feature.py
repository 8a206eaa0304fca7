"""ONNX models in ranking: batches, trimmed sequences, several outputs, one run for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_corpus import Corpus, corpus
from small_onnx import logit, write_sequence_model, write_sum_model

from siftline.errors import ModelError, PackageError, QueryError
from siftline.match.query import All
from siftline.model.session import Port, Session, open_session
from siftline.rank.models import OnnxModels
from siftline.schema.definition import OnnxModel
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SEQUENCE = """
schema d {
  document d {
    field order type int { indexing: attribute }
    field ids type tensor<float>(d0[40]) { indexing: attribute }
  }
  onnx-model ranker {
    file: models/ranker.onnx
    input input_ids: input_ids
    input attention_mask: attention_mask
    input token_type_ids: token_type_ids
    output "pooled/mean": pooled
  }
  rank-profile p {
    inputs { query(q) tensor<float>(d0[8]) }
    function input_ids() { expression: tokenInputIds(64, query(q), attribute(ids)) }
    function token_type_ids() { expression: tokenTypeIds(64, query(q), attribute(ids)) }
    function attention_mask() { expression: tokenAttentionMask(64, query(q), attribute(ids)) }
    function cross() { expression: onnx(ranker){d0:0,d1:0} }
    first-phase { expression: attribute(order) }
    second-phase { rerank-count: 20 expression: cross }
    match-features: cross sum(onnx(ranker).pooled) onnx(ranker).logits
  }
  rank-profile hidden inherits p {
    second-phase { expression: sum(onnx(ranker).hidden) }
    match-features { }
  }
}
"""


class Counting:
    """A session that remembers the shapes and outputs it ran."""

    scaled_together = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runs: list[tuple[tuple[int, ...], tuple[str, ...]]] = []

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self._session.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._session.outputs

    @property
    def runtime(self) -> str:
        return self._session.runtime

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        shape = next(iter(feeds.values())).shape
        self.runs.append((shape, tuple(outputs or ())))
        return self._session.run(feeds, outputs)


class Models(OnnxModels):
    """Every model is the one file; sessions are counted."""

    def __init__(self, path: Path) -> None:
        self.opened: list[Counting] = []
        super().__init__(lambda _: path, self.start)

    def start(self, path: Path, model: OnnxModel) -> Session:
        self.opened.append(Counting(open_session(path, threads=1)))
        return self.opened[-1]

    @property
    def runs(self) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
        return [run for session in self.opened for run in session.runs]


QUERY = [11, 12, 13]
Q = Tensor.dense(TensorType.parse("tensor<float>(d0[8])"), [*QUERY, 0, 0, 0, 0, 0])


def passages() -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(1, 100, size).tolist() for size in (3, 40, 12, 1, 25, 33, 0, 7)]


def documents() -> list[dict[str, Any]]:
    return [{"order": i, "ids": [*ids, *[0] * (40 - len(ids))]} for i, ids in enumerate(passages())]


def expected() -> list[float]:
    found = []
    for passage in passages():
        ids = [101, *QUERY, 102, *passage, 102]
        found.append(logit(ids, [0] * 5 + [1] * (len(passage) + 1)))
    return found


@pytest.fixture
def docs(tmp_path: Path) -> Iterator[Corpus]:
    models = Models(write_sequence_model(tmp_path / "m.onnx"))
    with corpus(SEQUENCE, documents(), models=models) as made:
        yield made


def models_of(docs: Corpus) -> Models:
    assert isinstance(docs.models, Models)
    return docs.models


def test_trimmed_batches_give_the_logits_of_single_sequences(docs: Corpus) -> None:
    ranked = docs.rank(inputs={"q": Q})
    by_document = dict(zip(ranked.documents.tolist(), ranked.scores.tolist(), strict=True))
    assert [by_document[d] for d in range(8)] == pytest.approx(expected(), abs=1e-4)
    assert ranked.scores.tolist() == sorted(ranked.scores.tolist(), reverse=True)


def test_one_run_serves_all_outputs_and_padding_is_trimmed(docs: Corpus) -> None:
    ranked = docs.rank(inputs={"q": Q})
    runs = models_of(docs).runs
    assert [shape for shape, _ in runs] == [(6, 32), (2, 64)]
    assert all(set(outputs) == {"logits", "pooled/mean"} for _, outputs in runs)
    assert ranked.match_features is not None
    first = ranked.match_features[0]
    assert first["cross"] == ranked.scores[0]
    logits = first["onnx(ranker).logits"]
    assert isinstance(logits, Tensor)
    assert str(logits.type) == "tensor<float>(d0[1],d1[1])"
    assert float(logits.cells.reshape(-1)[0]) == ranked.scores[0]


def test_hits_beyond_the_rerank_count_run_only_where_features_need_them(docs: Corpus) -> None:
    ranked = docs.rank(inputs={"q": Q}, rerank_count=3, hits=5)
    assert ranked.match_features is not None
    rows = [shape[0] for shape, _ in models_of(docs).runs]
    assert sum(rows) == 5
    found = dict(zip(ranked.documents.tolist(), ranked.match_features, strict=True))
    for document, features in found.items():
        assert features["cross"] == pytest.approx(expected()[document], abs=1e-4)


def test_no_run_for_a_phase_that_is_off_or_has_no_hits(docs: Corpus) -> None:
    docs.rank(inputs={"q": Q}, rerank_count=0, hits=0)
    assert models_of(docs).runs == []


def test_an_output_that_grows_with_the_length_is_not_trimmed(docs: Corpus) -> None:
    ranked = docs.rank(profile="hidden", inputs={"q": Q})
    # the trimmed attempt shows that the output depends on the length; then all runs are 64 wide
    assert {shape[1] for shape, _ in models_of(docs).runs[1:]} == {64}
    assert len(ranked) == 8


@pytest.mark.parametrize("batch", [1, "batch"])
def test_fixed_shapes_equal_trimmed_ones(tmp_path: Path, batch: int | str) -> None:
    models = Models(write_sequence_model(tmp_path / "m.onnx", batch=batch, length=64))
    with corpus(SEQUENCE, documents(), models=models) as docs:
        ranked = docs.rank(inputs={"q": Q})
    by_document = dict(zip(ranked.documents.tolist(), ranked.scores.tolist(), strict=True))
    assert [by_document[d] for d in range(8)] == pytest.approx(expected(), abs=1e-4)
    shapes = {shape for shape, _ in models.runs}
    assert shapes == ({(1, 64)} if batch == 1 else {(8, 64)})


def test_a_model_without_mask_sees_the_padding(tmp_path: Path) -> None:
    schema = SEQUENCE.replace("input attention_mask: attention_mask", "input attention_mask: ones")
    schema = schema.replace(
        "function cross()",
        "function ones() { expression: map(input_ids, f(x)(1)) }\nfunction cross()",
    )
    models = Models(write_sequence_model(tmp_path / "m.onnx"))
    with corpus(schema, documents(), models=models) as docs:
        docs.rank(inputs={"q": Q})
    assert {shape for shape, _ in models.runs} == {(8, 64)}


def test_missing_token_ids_are_named(docs: Corpus) -> None:
    schema = SEQUENCE.replace("inputs { query(q) tensor<float>(d0[8]) }", "")
    with corpus(schema, documents(), models=models_of(docs)) as other:
        with pytest.raises(QueryError, match=r"'query\(q\)' must be a tensor of token ids"):
            other.rank()


def test_the_file_is_read_for_names_only_until_a_query_needs_it(docs: Corpus) -> None:
    docs.plan()
    assert models_of(docs).opened == []


SUM = """
schema d {
  document d {
    field a type tensor<float>(x[2]) { indexing: attribute }
    field flat type tensor<float>(d0[1],d1[2]) { indexing: attribute }
    field mapped type tensor<float>(k{}) { indexing: attribute }
  }
  onnx-model adder {
    file: models/adder.onnx
    input a: attribute(flat)
    input b: %s
  }
  rank-profile p {
    inputs { query(b) tensor<float>(d0[1],d1[2])  query(wrong) tensor<float>(d0[1],d1[3]) }
    constants { fixed tensor<float>(d0[1],d1[2]):[[10,20]] }
    function number() { expression: 1 }
    first-phase { expression: sum(onnx(adder)) }
    match-features: onnxModel(adder).whole
  }
}
"""
ADDED = [{"flat": [[1.6, 2.0]]}, {"flat": [[5.0, 6.0]]}, {}]


@pytest.mark.parametrize("batch", [1, "batch"])
def test_sources_shared_by_all_hits(tmp_path: Path, batch: int | str) -> None:
    models = Models(write_sum_model(tmp_path / "m.onnx", batch=batch))
    b = Tensor.dense(TensorType.parse("tensor<float>(d0[1],d1[2])"), [[1, 2]])
    with corpus(SUM % "query(b)", ADDED, models=models) as docs:
        ranked = docs.rank(inputs={"b": b})
        assert len(models.runs) == (3 if batch == 1 else 1)
    assert ranked.documents.tolist() == [1, 0, 2]
    assert ranked.scores == pytest.approx([14, 6.6, 3])
    assert ranked.match_features is not None
    whole = ranked.match_features[1]["onnxModel(adder).whole"]
    assert isinstance(whole, Tensor)
    assert str(whole.type) == "tensor(d0[1],d1[2])"
    assert whole.array.tolist() == [[2, 4]]


def test_constants_feed_models(tmp_path: Path) -> None:
    models = Models(write_sum_model(tmp_path / "m.onnx"))
    with corpus(SUM % "constant(fixed)", ADDED, models=models) as docs:
        assert docs.rank().scores == pytest.approx([41, 33.6, 30])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("query(wrong)", r"input 'b' of onnx-model 'adder' has the shape \[batch,2\], .* \[1,3\]"),
        ("attribute(mapped)", "needs a dense tensor, but its source is tensor<float>"),
        ("number", "needs a dense tensor, but its source is"),
        ("attribute(a)", r"has the shape \[batch,2\], but its source has \[2\]"),
    ],
)
def test_sources_that_do_not_fit(tmp_path: Path, source: str, message: str) -> None:
    models = Models(write_sum_model(tmp_path / "m.onnx"))
    with corpus(SUM % source, ADDED, models=models) as docs:
        with pytest.raises(ModelError, match=message):
            docs.rank()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("input b:", "input c:"), "onnx-model 'adder' has no input 'c'"),
        (("(adder))", "(added))"), "there is no onnx-model 'added'.*did you mean 'adder'"),
        (("(adder).whole", "(adder).hole"), "has no output 'hole'.*did you mean 'whole'"),
        (("input b: query(b)", "input b: 1 + 2"), "must be an attribute, a query input"),
    ],
)
def test_packages_that_do_not_fit_their_model(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    models = Models(write_sum_model(tmp_path / "m.onnx"))
    with corpus((SUM % "query(b)").replace(*change), ADDED, models=models) as docs:
        with pytest.raises(PackageError, match=message):
            docs.plan()


def test_inputs_that_are_not_listed_come_from_the_function_of_their_name(tmp_path: Path) -> None:
    schema = (SUM % "query(b)").replace("    input b: query(b)\n", "")
    schema = schema.replace(
        "function number() { expression: 1 }", "function b() { expression: attribute(flat) * 2 }"
    )
    models = Models(write_sum_model(tmp_path / "m.onnx"))
    with corpus(schema, ADDED[:2], models=models) as docs:
        # b is an integer input: 3.2 and 4 become 3 and 4
        assert docs.rank(All()).scores == pytest.approx([33, 10.6])


def test_a_damaged_file_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"not a model")
    with corpus(SUM % "query(b)", ADDED, models=Models(path)) as docs:
        with pytest.raises(ModelError, match="not an ONNX model"):
            docs.plan()
