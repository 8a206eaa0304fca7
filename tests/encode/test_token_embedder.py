import numpy as np
import pytest
import tokenizers
from encode_fakes import CLS, IDS, SEP, tokenizer
from tokenizers import models

from siftline.encode.tokenizer import Tokenizer
from siftline.encode.tokens import TokenEmbedder
from siftline.errors import UsageError
from siftline.tensor.types import TensorType

HELLO, WORLD = IDS["hello"], IDS["world"]
D4 = TensorType.parse("tensor<float>(d0[4])")


def test_ids_padded_and_cut() -> None:
    embedder = TokenEmbedder("t", tokenizer)
    batch = embedder.documents(["Hello world", "", "hello " * 9], D4)
    assert batch.values.dtype == np.float32
    assert batch.values.tolist() == [[HELLO, WORLD, 0, 0], [0] * 4, [HELLO] * 4]
    assert embedder.query("world", D4).array.tolist() == [WORLD, 0, 0, 0]


def test_special_tokens_and_length() -> None:
    special = TokenEmbedder("t", tokenizer, special=True)
    assert special.documents(["hello " * 9], D4).values.tolist() == [[CLS, HELLO, HELLO, SEP]]
    assert TokenEmbedder("t", tokenizer, max_length=2).documents(
        ["hello " * 9], D4
    ).values.tolist() == [[HELLO, HELLO, 0, 0]]


def test_targets_that_do_not_fit() -> None:
    embedder = TokenEmbedder("t", tokenizer)
    with pytest.raises(UsageError, match="expected one dimension like"):
        embedder.documents(["a"], TensorType.parse("tensor<float>(t{},x[4])"))
    with pytest.raises(UsageError, match=r"tensor<int8>\(x\[4\]\)"):
        TokenEmbedder("t", _large).documents(["hello"], TensorType.parse("tensor<int8>(x[4])"))


def _large() -> Tokenizer:
    """A tokenizer with an id above 127."""
    raw = tokenizers.Tokenizer(models.WordLevel({"hello": 30_000, "?": 0}, unk_token="?"))
    return Tokenizer(raw)
