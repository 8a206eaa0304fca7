from typing import Any

import numpy as np
import pytest
from encode_fakes import CLS, IDS, SEP, FakeSession, id_vectors, tokenizer, transformer

from siftline.encode.dense import DenseEmbedder, DenseOptions
from siftline.encode.ports import PortNames
from siftline.errors import ModelError, UsageError
from siftline.tensor.bits import round_bfloat16
from siftline.tensor.types import TensorType

HELLO, WORLD, A = IDS["hello"], IDS["world"], IDS["a"]
X2 = TensorType.parse("tensor<float>(x[2])")


def embedder(session: FakeSession | None = None, **options: Any) -> DenseEmbedder:
    own = tokenizer()
    model = transformer(session or FakeSession(id_vectors(16)))
    return DenseEmbedder("e", "hugging-face-embedder", model, own.ids, DenseOptions(**options))


def test_mean_pools_real_tokens_only() -> None:
    batch = embedder().documents(["hello", "a a a hello world"], X2)
    for row, ids in ((0, [CLS, HELLO, SEP]), (1, [CLS, A, A, A, HELLO, WORLD, SEP])):
        mean = np.mean(ids)
        assert batch.values[row].tolist() == pytest.approx([mean, -(mean + 1)])
    assert batch.present.all()


def test_cls_pools_the_first_token() -> None:
    batch = embedder(pooling="cls").documents(["hello"], X2)
    assert batch.values.tolist() == [[CLS, -(CLS + 1)]]


def test_normalised_after_the_cut() -> None:
    values = embedder(pooling="cls", normalize=True).documents(["a"], X2).values[0]
    whole = np.array([CLS, -(CLS + 1)])
    assert values == pytest.approx(whole / np.linalg.norm(whole))


def test_a_model_may_pool_itself() -> None:
    session = FakeSession(lambda ids: np.stack([ids[:, 0], ids[:, 1]], 1))
    assert embedder(session, pooling="none").documents(["a"], X2).values.tolist() == [[CLS, A]]
    with pytest.raises(ModelError, match="mean and cls need 3, none needs 2"):
        embedder(session).documents(["a"], X2)
    with pytest.raises(ModelError, match="pooling 'none'"):
        embedder(pooling="none").documents(["a"], X2)


def test_int8_targets_are_packed_bits() -> None:
    target = TensorType.parse("tensor<int8>(x[2])")
    batch = embedder(pooling="cls").documents(["a"], target)
    # positive at even positions: 10101010 in both bytes
    assert batch.values.dtype == np.int8 and batch.values.tolist() == [[-86, -86]]
    one = TensorType.parse("tensor<int8>(x[1])")
    assert embedder(pooling="cls").documents(["a"], one).values.tolist() == [[-86]]


def test_bfloat16_targets_are_rounded() -> None:
    target = TensorType.parse("tensor<bfloat16>(x[4])")
    values = embedder(normalize=True).documents(["hello world"], target).values
    assert np.array_equal(values, round_bfloat16(values))
    exact = embedder(normalize=True).documents(
        ["hello world"], TensorType.parse("tensor<float>(x[4])")
    )
    assert not np.array_equal(values, exact.values)
    assert values == pytest.approx(exact.values, rel=2**-8)


def test_double_targets() -> None:
    tensor = embedder(pooling="cls").query("a", TensorType.parse("tensor(x[2])"))
    assert tensor.cells.dtype == np.float64 and tensor.array.tolist() == [CLS, -(CLS + 1)]


def test_targets_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match=r"does not fit tensor<float>\(t\{\},x\[2\]\)"):
        embedder().documents(["a"], TensorType.parse("tensor<float>(t{},x[2])"))
    with pytest.raises(ModelError, match=r"of 16 components, tensor<float>\(x\[17\]\) needs 17"):
        embedder().query("a", TensorType.parse("tensor<float>(x[17])"))
    with pytest.raises(ModelError, match="of 16 components"):
        embedder().query("a", TensorType.parse("tensor<int8>(x[3])"))


def seen(session: FakeSession) -> list[int]:
    return [int(i) for i in session.calls[-1]["input_ids"][0]]


def test_prepended_text() -> None:
    session = FakeSession(id_vectors(16))
    both = embedder(session, prepend_query="a", prepend_document="b ")
    both.query("hello", X2)
    assert seen(session) == [CLS, A, HELLO, SEP]
    both.documents(["hello"], X2)
    assert seen(session) == [CLS, IDS["b"], HELLO, SEP]
    embedder(session, prepend_document="b").query("hello", X2)
    assert seen(session) == [CLS, IDS["b"], HELLO, SEP]
    embedder(session, prepend_query="b").documents(["hello"], X2)
    assert seen(session) == [CLS, HELLO, SEP]
    embedder(session, prepend_query="", prepend_document="b").query("hello", X2)
    assert seen(session) == [CLS, IDS["b"], HELLO, SEP]


def test_exactly_one_space_follows_what_is_prepended() -> None:
    texts: list[str] = []

    def rows(given: Any) -> list[np.ndarray]:
        texts.extend(given)
        return tokenizer().ids(given)

    model = transformer(FakeSession(id_vectors(2)))
    options = DenseOptions(prepend_query="search_query: ")
    DenseEmbedder("e", "hugging-face-embedder", model, rows, options).query("x", X2)
    assert texts == ["search_query:  x"]


def test_batches_give_what_single_texts_give() -> None:
    generator = np.random.default_rng(7)
    words = ["hello", "world", "a", "b", "weather", "zzz"]
    texts = [" ".join(generator.choice(words, generator.integers(0, 90))) for _ in range(70)]
    session = FakeSession(id_vectors(16))
    together = embedder(session).documents(texts, X2).values
    shapes = [call["input_ids"].shape for call in session.calls]
    assert sum(rows for rows, _ in shapes) == 70 and len(shapes) < 20
    assert all(rows * width <= 1024 for rows, width in shapes)
    singles = np.concatenate([embedder().documents([text], X2).values for text in texts])
    assert together == pytest.approx(singles, rel=1e-6)


def test_no_documents_and_the_empty_text() -> None:
    assert embedder().documents([], X2).values.shape == (0, 2)
    once, again = (embedder().documents(["", "a"], X2).values[0] for _ in range(2))
    assert once.tolist() == again.tolist() == pytest.approx([101.5, -102.5])


def test_models_get_the_inputs_they_have() -> None:
    for inputs in (["input_ids"], ["input_ids", "attention_mask"]):
        session = FakeSession(id_vectors(2), inputs=inputs, spoil_padding=False)
        embedder(session).query("a", X2)
        assert list(session.calls[0]) == inputs


def test_models_without_a_needed_port() -> None:
    session = FakeSession(id_vectors(2), inputs=["ids", "attention_mask"])
    with pytest.raises(ModelError, match="required input: 'input_ids'. Model contains: ids,att"):
        embedder(session).query("a", X2)
    odd = FakeSession(id_vectors(2), output="x")
    names = PortNames()
    model = transformer(odd, names=names)
    with pytest.raises(ModelError, match="required output: 'last_hidden_state'. .*contains: x"):
        model.run([np.array([1])]).__next__()
    extra = FakeSession(id_vectors(2), inputs=["input_ids", "attention_mask", "pixels"])
    with pytest.raises(ModelError, match="token_type_ids"):
        embedder(extra).query("a", X2)
    model = transformer(extra, names=PortNames(types=None))
    with pytest.raises(ModelError, match="nothing fills the model's input 'pixels'"):
        _ = model.session
