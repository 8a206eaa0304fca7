import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encode_fakes import IDS, SIZE, FakeSession, tokenizer, transformer

from siftline.encode.embedder import TokenSets
from siftline.encode.idf import IdfTable, TokenFrequencies
from siftline.encode.sparse import SparseEmbedder, SparseOptions
from siftline.encode.tokenizer import Tokenizer
from siftline.errors import ModelError, UsageError
from siftline.tensor.types import TensorType

TOKEN = TensorType.parse("tensor<float>(token{})")
PUBLISHED = Path(__file__).parents[2].parent / "shared" / "models" / "bert-uncased"

#: "What's the weather in ny now?" by the published English table
WEATHER = {
    "ny": 5.772862434387207, "weather": 4.568415641784668, "now": 3.5895495414733887,
    "?": 3.331254720687866, "what": 2.7698843479156494, "'": 1.5750715732574463,
    "s": 1.4272583723068237, "in": 0.49892646074295044, "the": 0.1353016495704651,
}  # fmt: skip


def id_logits(ids: np.ndarray) -> np.ndarray:
    """Every token votes `position + 1` for itself, -1 for all others."""
    logits = np.full((*ids.shape, SIZE), -1.0)
    rows, positions = np.indices(ids.shape)
    logits[rows, positions, ids] = positions + 1
    return logits


def embedder(
    values: Callable[[np.ndarray], np.ndarray] = id_logits,
    output: str = "logits",
    idf: IdfTable | None = None,
    **options: Any,
) -> SparseEmbedder:
    own = tokenizer()
    return SparseEmbedder(
        "s",
        transformer(FakeSession(values, output)),
        lambda: own,
        own.ids,
        SparseOptions(**options),
        None if idf is None else lambda: idf,
    )


def weights(embedder: SparseEmbedder, text: str) -> dict[str, float]:
    tensor = embedder.documents([text], TOKEN).tensor(0)
    assert tensor is not None
    return {label: float(cell) for (label,), cell in zip(tensor.labels, tensor.cells, strict=True)}


def test_weights_are_log1p_of_the_largest_logit() -> None:
    found = weights(embedder(), "hello world hello")
    # positions count from the leading [CLS]
    assert found == pytest.approx({"hello": math.log(5), "world": math.log(4)})


def test_special_tokens_can_be_kept() -> None:
    found = weights(embedder(zero_specials=False), "hello")
    assert found == pytest.approx(
        {"[CLS]": math.log(2), "hello": math.log(3), "[SEP]": math.log(4)}
    )


def test_two_logarithms() -> None:
    found = weights(embedder(activation="log1p-log1p"), "hello")
    assert found == pytest.approx({"hello": math.log(1 + math.log(3))})


def test_threshold_and_pruning_are_strict() -> None:
    # log 3, log 4, log 5
    text = "hello world weather"
    low = float(np.log1p(np.float32(2)))
    assert weights(embedder(threshold=low), text).keys() == {"world", "weather"}
    high = float(np.log1p(np.float32(4)))
    assert weights(embedder(prune_ratio=0.8), text).keys() == {"world", "weather"}
    assert 0.8 * high > low


def test_a_model_that_pools_itself() -> None:
    def pooled(ids: np.ndarray) -> np.ndarray:
        found = np.zeros((len(ids), SIZE))
        found[:, IDS["hello"]] = 2.5
        found[:, 101] = 9
        return found

    assert weights(embedder(pooled, "weights"), "a") == {"hello": 2.5}


def test_padding_never_votes() -> None:
    texts = ["hello", "world " * 15, "", "weather ny"]
    batch = embedder().documents(texts, TOKEN)
    single = [embedder().documents([text], TOKEN) for text in texts]
    for row, alone in enumerate(single):
        assert batch.tensor(row) == alone.tensor(0)
    assert batch.tensor(2) is None and np.isfinite(batch.weights).all()


def test_wider_logits_than_the_vocabulary() -> None:
    def padded(ids: np.ndarray) -> np.ndarray:
        return np.pad(id_logits(ids), ((0, 0), (0, 0), (0, 6)), constant_values=5.0)

    assert weights(embedder(padded), "hello").keys() == {"hello"}
    with pytest.raises(ModelError, match="130"):
        embedder(lambda ids: id_logits(ids)[..., :90]).documents(["a"], TOKEN)


def test_queries_by_the_model() -> None:
    tensor = embedder().query("hello", TOKEN)
    assert tensor.as_dict()[("hello",)] == pytest.approx(math.log(3))
    assert embedder().query("", TOKEN).labels == ()


def test_bfloat16_cells() -> None:
    batch = embedder().documents(["hello"], TensorType.parse("tensor<bfloat16>(token{})"))
    assert not (batch.weights.view(np.uint32) & 0xFFFF).any()


def test_queries_by_a_corpus_table() -> None:
    table = IdfTable.from_frequencies(TokenFrequencies(9, {"hello": 4, "world": 9}))
    tensor = embedder(idf=table).query("World hello hello [SEP] ny zzz", TOKEN)
    # presence, not counts; no specials, not even [UNK]; tokens the table lacks weigh 1
    assert tensor.labels == (("world",), ("hello",), ("ny",))
    assert tensor.cells == pytest.approx([math.log(10 / 9.5), math.log(10 / 4.5), 1.0])


def test_zero_weights_are_left_out() -> None:
    table = IdfTable({"hello": 0.0, "world": -3.0, "a": 2.0})
    assert embedder(idf=table).query("hello world a", TOKEN).labels == (("a",),)
    assert embedder(idf=table).query("", TOKEN).cells.shape == (0,)


def test_token_sets() -> None:
    own = embedder()
    assert isinstance(own, TokenSets)
    batch = own.token_sets(["hello hello world", "", "zzz", "a " * 200_000])
    sets = [{batch.vocabulary[t] for t in batch.take(np.array([i])).tokens} for i in range(4)]
    assert sets == [{"hello", "world"}, set(), set(), {"a"}]
    assert str(batch.type) == "tensor<int8>(token{})" and (batch.weights == 1).all()


def test_targets_that_do_not_fit() -> None:
    for target in ("tensor<float>(x[3])", "tensor<int8>(token{})", "tensor<float>(a{},b{})"):
        with pytest.raises(UsageError, match="does not fit"):
            embedder().documents(["a"], TensorType.parse(target))


def real_query(table: IdfTable) -> dict[str, float]:
    own = Tokenizer.open(PUBLISHED)
    model = transformer(FakeSession(id_logits))
    sparse = SparseEmbedder("s", model, lambda: own, own.ids, SparseOptions(), lambda: table)
    tensor = sparse.query("What's the weather in ny now?", TensorType.parse("tensor(token{})"))
    return {label: float(cell) for (label,), cell in zip(tensor.labels, tensor.cells, strict=True)}


needs_table = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="needs the published IDF table in ../shared/models/bert-uncased"
)


@needs_table
def test_published_query_weights() -> None:
    found = real_query(IdfTable.from_file(PUBLISHED / "idf.json"))
    assert found.keys() == WEATHER.keys()
    assert found == pytest.approx(WEATHER, abs=1e-6)


@needs_table
def test_query_weights_of_a_corpus_with_the_same_frequencies() -> None:
    passages = 8_841_823
    counts = {word: round((passages + 1) / math.exp(w) - 0.5) for word, w in WEATHER.items()}
    found = real_query(IdfTable.from_frequencies(TokenFrequencies(passages, counts)))
    assert found == pytest.approx(WEATHER, abs=1e-6)
