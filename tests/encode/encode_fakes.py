"""Small tokenizers and models whose results can be computed by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from siftline.encode.ports import PortNames
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Transformer
from siftline.model.session import Port
from siftline.tensor.batch import DenseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

PAD, UNK, CLS, SEP, MASK = 0, 100, 101, 102, 103
WORDS = ["hello", "world", "a", "b", "c", "weather", "ny", "##s", "the", ",", "!", "."]
#: Id of each word: 110, 111, …
IDS = {word: 110 + i for i, word in enumerate(WORDS)}
SIZE = 130


def vocabulary() -> dict[str, int]:
    words = {f"[unused{i}]": i for i in range(SIZE)}
    named = {"[PAD]": PAD, "[UNK]": UNK, "[CLS]": CLS, "[SEP]": SEP, "[MASK]": MASK, **IDS}
    taken = set(named.values())
    return {word: i for word, i in words.items() if i not in taken} | named


def raw_tokenizer(length: int | None = None) -> Any:
    raw = tokenizers.Tokenizer(models.WordPiece(vocabulary(), unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    if length is not None:
        raw.enable_truncation(length)
        raw.enable_padding(length=length)
    return raw


def tokenizer(length: int | None = None) -> Tokenizer:
    return Tokenizer(raw_tokenizer(length))


def tokenizer_file(folder: Path, length: int | None = None) -> Path:
    path = folder / "tokenizer.json"
    raw_tokenizer(length).save(str(path))
    return path


class FakeSession:
    """Gives `values(ids)`, `(b, n, …)`, under one output name; padded positions are NaN."""

    runtime = "fake"
    scaled_together = False

    def __init__(
        self,
        values: Callable[[np.ndarray], np.ndarray],
        output: str = "last_hidden_state",
        inputs: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids"),
        spoil_padding: bool = True,
    ) -> None:
        self._values = values
        self._spoil = spoil_padding
        self.inputs = tuple(Port(n, np.dtype(np.int64), ("batch", "length")) for n in inputs)
        self.outputs = (Port(output, np.dtype(np.float32), ("batch", None)),)
        self.calls: list[dict[str, np.ndarray]] = []

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        self.calls.append({name: array.copy() for name, array in feeds.items()})
        values = self._values(feeds["input_ids"]).astype(np.float32)
        if self._spoil and values.ndim == 3 and "attention_mask" in feeds:
            values[feeds["attention_mask"] == 0] = np.nan
        return {self.outputs[0].name: values}


def id_vectors(dimensions: int) -> Callable[[np.ndarray], np.ndarray]:
    """Hidden state of token t: component j is `t + j` for even j, `-(t + j)` for odd j."""
    steps = np.arange(dimensions)
    signs = np.where(steps % 2 == 0, 1, -1)

    def values(ids: np.ndarray) -> np.ndarray:
        return np.asarray((ids[:, :, None] + steps) * signs)

    return values


def transformer(session: FakeSession, **options: Any) -> Transformer:
    names = options.pop("names", PortNames(output=session.outputs[0].name))
    return Transformer(lambda: session, names, **options)


class CountingEmbedder:
    """One component for each text, its length; remembers what it was asked for."""

    type = "hugging-face-embedder"

    def __init__(self, name: str = "e") -> None:
        self.id = name
        self.asked: list[tuple[list[str], str]] = []

    def check(self, target: TensorType, *, query: bool = False) -> None:
        target.shape  # noqa: B018

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> DenseBatch:
        self.asked.append((list(texts), str(target)))
        values = np.zeros((len(texts), *target.shape), target.dtype)
        for i, text in enumerate(texts):
            values[i] = len(text)
        return DenseBatch(target, values, np.ones(len(texts), bool))

    def query(self, text: str, target: TensorType) -> Tensor:
        return Tensor(target, ((),), self.documents([text], target).values)
