"""Queries that meet at a busy model: one run for all, and what each would get by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from encode_fakes import CLS, SEP, FakeSession, id_vectors, transformer
from hypothesis import given
from hypothesis import strategies as st

from siftline.encode.embedder import Embedder
from siftline.encode.open import open_embedder
from siftline.encode.transformer import Hidden, QueryRow, Transformer
from siftline.errors import PackageError
from siftline.schema.package import Component, ModelReference, Settings
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

WAIT = 10.0
X384 = TensorType.parse("tensor<float>(x[384])")
T384 = TensorType.parse("tensor<float>(t{},x[384])")
TOKENS = TensorType.parse("tensor<float>(token{})")
QUESTIONS = [
    "who invented the telephone",
    "cheap flights",
    "best way to learn to play the guitar at home without a teacher or any lessons",
    "a",
    "symptoms of vitamin d deficiency",
    "how to cook rice",
]


class Held(FakeSession):
    """A session that can be made to wait at the door, so that callers pile up behind one."""

    def __init__(self, values: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(values)
        self.open = threading.Event()
        self.entered = threading.Event()
        self.open.set()

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        self.entered.set()
        assert self.open.wait(WAIT)
        return super().run(feeds, outputs)


def row(*ids: int) -> np.ndarray:
    return np.array([CLS, *ids, SEP], np.int64)


def pile_up(model: Transformer, session: Held, rows: Sequence[np.ndarray]) -> list[Hidden]:
    """The outputs of rows, the first of which runs while the others come."""
    session.open.clear()
    session.entered.clear()
    with ThreadPoolExecutor(len(rows)) as pool:
        calls = [pool.submit(model.query, rows[0])]
        assert session.entered.wait(WAIT)
        for count, later in enumerate(rows[1:], 1):
            calls.append(pool.submit(model.query, later))
            while len(model._queries()._waiting) < count and not calls[-1].done():
                threading.Event().wait(0.002)
        session.open.set()
        return [call.result(WAIT) for call in calls]


def sizes(session: FakeSession) -> list[int]:
    return [len(call["input_ids"]) for call in session.calls]


def vectors(hidden: Hidden) -> list[list[float]]:
    return [list(map(float, vector)) for vector in hidden.values[0, : hidden.lengths[0]]]


def test_the_first_that_meet_are_compared_and_later_ones_share() -> None:
    session = Held(id_vectors(2))
    model = transformer(session)
    rows = [row(110), row(111), row(112, 113), row(114)]
    found = pile_up(model, session, rows)
    assert sizes(session) == [1, 1, 1, 1, 2]
    again = pile_up(model, session, rows)
    assert sizes(session)[5:] == [1, 3]
    for hidden, later, ids in zip(found, again, rows, strict=True):
        expected = [[t, -(t + 1)] for t in ids.tolist()]
        assert vectors(hidden) == vectors(later) == expected
    assert model.query_statistics.largest == 3


def test_a_model_whose_rows_depend_on_each_other_runs_them_one_by_one() -> None:
    session = Held(lambda ids: id_vectors(2)(ids) + 0.01 * ids.max())
    model = transformer(session)
    rows = [row(110), row(111), row(112, 113), row(114)]
    alone = [vectors(model.query(ids)) for ids in rows]
    for _ in range(3):
        assert [vectors(hidden) for hidden in pile_up(model, session, rows)] == alone
    compared = [size for size in sizes(session) if size > 1]
    assert compared == [2]


def test_equal_rows_prove_nothing() -> None:
    session = Held(lambda ids: id_vectors(2)(ids) + 0.01 * ids.max())
    model = transformer(session)
    pile_up(model, session, [row(110)] * 3)
    assert sizes(session) == [1, 1, 1]


def test_what_is_attended_to_is_each_rows_own() -> None:
    session = Held(id_vectors(2))
    model = transformer(session)
    model._apart = True
    hidden = model._together(
        [QueryRow(row(110, 111), 2), QueryRow(row(112, 113), 4), QueryRow(row(114), 3)], False
    )
    # shortest first
    masks = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert session.calls[0]["attention_mask"].tolist() == masks
    assert [int(h.lengths[0]) for h in hidden] == [4, 4, 3]


@given(st.lists(st.lists(st.integers(104, 129), max_size=40), min_size=1, max_size=20))
def test_sharing_gives_every_row_its_own_output(ids: list[list[int]]) -> None:
    model = transformer(FakeSession(id_vectors(2)), token_budget=64)
    rows = [row(*tokens) for tokens in ids]
    together = model._together([QueryRow(r, len(r)) for r in rows], False)
    assert [vectors(h) for h in together] == [vectors(model.query(r)) for r in rows]


def opened(folder: Path, kind: str, parameters: Mapping[str, str] | None = None) -> Embedder:
    models = {
        "transformer-model": ModelReference(path="model.onnx"),
        "tokenizer-model": ModelReference(path="tokenizer.json"),
    }
    component = Component("e", kind, models, parameters or {})
    return open_embedder(component, lambda _, reference: folder / str(reference.path), Settings())


def asked_together(embedder: Embedder, target: TensorType, rounds: int = 4) -> list[list[Tensor]]:
    """The questions from as many threads at once, several times over."""
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        return [
            list(pool.map(lambda text: embedder.query(text, target), QUESTIONS))
            for _ in range(rounds)
        ]


@pytest.mark.model
@pytest.mark.parametrize(
    ("model", "kind", "target"),
    [
        ("bge-small-en-v1.5", "hugging-face-embedder", X384),
        ("answerai-colbert-small-v1-body", "colbert-embedder", T384),
    ],
)
def test_an_int8_vector_does_not_depend_on_who_else_asks(
    model: str, kind: str, target: TensorType, model_folder: Callable[[str], Path]
) -> None:
    embedder = opened(model_folder(model), kind)
    alone = [embedder.query(text, target) for text in QUESTIONS]
    for answers in asked_together(embedder, target):
        assert all(np.array_equal(a.cells, b.cells) for a, b in zip(alone, answers, strict=True))


@pytest.mark.model
def test_float_weights_shared_are_those_alone(model_folder: Callable[[str], Path]) -> None:
    embedder = opened(model_folder("splade-tiny"), "splade-embedder")
    alone = [embedder.query(text, TOKENS) for text in QUESTIONS]
    for answers in asked_together(embedder, TOKENS):
        for one, shared in zip(alone, answers, strict=True):
            assert one.labels == shared.labels
            assert shared.cells == pytest.approx(one.cells, abs=1e-4)


@pytest.mark.model
def test_batching_of_services_xml_bounds_a_run(model_folder: Callable[[str], Path]) -> None:
    folder = model_folder("splade-tiny")
    single = opened(folder, "splade-embedder", {"batching/max-size": "1"})
    asked_together(single, TOKENS)
    assert single._transformer.query_statistics.largest == 1  # type: ignore[attr-defined]
    for name, value in (("max-size", "0"), ("max-size", "many"), ("max-delay", "soon")):
        with pytest.raises(PackageError, match=f"batching/{name}"):
            opened(folder, "splade-embedder", {f"batching/{name}": value})
    opened(folder, "splade-embedder", {"batching/max-size": "8", "batching/max-delay": "10ms"})
