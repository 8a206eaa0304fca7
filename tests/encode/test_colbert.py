from typing import Any

import numpy as np
import pytest
from encode_fakes import CLS, IDS, MASK, SEP, FakeSession, id_vectors, tokenizer, transformer

from siftline.encode.colbert import ColbertEmbedder, ColbertOptions
from siftline.errors import ModelError, UsageError
from siftline.tensor.types import TensorType

HELLO, WORLD, A = IDS["hello"], IDS["world"], IDS["a"]
DT = TensorType.parse("tensor<float>(dt{},x[16])")
QT = TensorType.parse("tensor<float>(qt{},x[16])")


def embedder(session: FakeSession | None = None, **options: Any) -> ColbertEmbedder:
    model = transformer(session or FakeSession(id_vectors(16), spoil_padding=False))
    own = tokenizer()
    return ColbertEmbedder("c", model, lambda: own, ColbertOptions(**options))


def test_hello_world_has_five_document_vectors() -> None:
    batch = embedder().documents(["Hello world"], DT)
    # the first component of the fake's vectors is the token id
    assert batch.rows[:, 0].tolist() == [CLS, 2, HELLO, WORLD, SEP]
    tensor = batch.tensor(0)
    assert tensor is not None and [label for (label,) in tensor.labels] == list("01234")


def test_documents_come_back_in_order_without_padding() -> None:
    texts = ["a " * n for n in (30, 1, 17, 0, 5)]
    batch = embedder(FakeSession(id_vectors(16))).documents(texts, DT)
    assert np.diff(batch.offsets).tolist() == [33, 4, 20, 3, 8]
    assert np.isfinite(batch.rows).all()


def test_punctuation_is_left_out_of_documents_only() -> None:
    text = "hello, world!"
    assert embedder().documents([text], DT).rows[2:-1, 0].tolist() == [HELLO, WORLD]
    kept = embedder(filter_punctuation=False).documents([text], DT).rows
    assert kept[2:-1, 0].tolist() == [HELLO, IDS[","], WORLD, IDS["!"]]
    query = embedder().query(text, QT)
    assert query.cells[:6, 0].tolist() == [CLS, 1, HELLO, IDS[","], WORLD, IDS["!"]]


def test_documents_are_cut_after_punctuation_is_gone() -> None:
    text = ", " * 40 + "hello " * 3 + "world"
    batch = embedder(max_document=8).documents([text], DT)
    assert batch.rows[:, 0].tolist() == [CLS, 2, HELLO, HELLO, HELLO, WORLD, SEP]
    batch = embedder(max_document=5).documents([text], DT)
    assert batch.rows[:, 0].tolist() == [CLS, 2, HELLO, HELLO, SEP]


def test_queries_are_filled_with_mask_tokens_not_attended_to() -> None:
    session = FakeSession(id_vectors(16), spoil_padding=False)
    tensor = embedder(session).query("hello", QT)
    assert tensor.cells[:, 0].tolist() == [CLS, 1, HELLO, SEP] + [MASK] * 28
    assert [label for (label,) in tensor.labels] == [str(i) for i in range(32)]
    assert session.calls[0]["attention_mask"].tolist() == [[1] * 4 + [0] * 28]


def test_mask_tokens_can_be_attended_to_or_left_out() -> None:
    session = FakeSession(id_vectors(16), spoil_padding=False)
    embedder(session, mask_queries="attended").query("hello", QT)
    assert session.calls[0]["attention_mask"].tolist() == [[1] * 32]
    tensor = embedder(mask_queries="none").query("hello", QT)
    assert tensor.cells[:, 0].tolist() == [CLS, 1, HELLO, SEP]


def test_long_queries_are_cut() -> None:
    tensor = embedder(max_query=6).query("a a a a a hello", QT)
    assert tensor.cells[:, 0].tolist() == [CLS, 1, A, A, A, SEP]


def test_markers_can_be_left_out() -> None:
    assert embedder(markers=False).documents(["a"], DT).rows[:, 0].tolist() == [CLS, A, SEP]
    tensor = embedder(markers=False, mask_queries="none", max_query=3).query("a a", QT)
    assert tensor.cells[:, 0].tolist() == [CLS, A, SEP]


def test_normalised_rows() -> None:
    rows = embedder(normalize=True).documents(["a b"], DT).rows
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(rows)))


def test_int8_documents_are_packed_bits() -> None:
    target = TensorType.parse("tensor<int8>(dt{},x[2])")
    batch = embedder().documents(["a"], target)
    assert batch.rows.dtype == np.int8 and batch.rows.tolist() == [[-86, -86]] * 4


def test_bfloat16_documents() -> None:
    batch = embedder(normalize=True).documents(
        ["a"], TensorType.parse("tensor<bfloat16>(dt{},x[16])")
    )
    assert not (batch.rows.view(np.uint32) & 0xFFFF).any()


def test_targets_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="int8 query"):
        embedder().query("a", TensorType.parse("tensor<int8>(qt{},x[2])"))
    with pytest.raises(UsageError, match=r"expected dimensions like dt\{\},x\[128\]"):
        embedder().documents(["a"], TensorType.parse("tensor<float>(x[16])"))
    with pytest.raises(ModelError, match="16 components, .* needs 8"):
        embedder().documents(["a"], TensorType.parse("tensor<float>(dt{},x[8])"))
    with pytest.raises(ModelError, match=r"needs 8 components \(1 bytes of bits\)"):
        embedder().documents(["a"], TensorType.parse("tensor<int8>(dt{},x[1])"))


def test_no_documents() -> None:
    batch = embedder().documents([], DT)
    assert len(batch) == 0 and batch.rows.shape == (0, 16)
