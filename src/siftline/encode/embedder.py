"""What every embedder can do, and finding one by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from siftline.errors import UsageError
from siftline.tensor.batch import Batch, SparseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


class Embedder(Protocol):
    """Text to tensors.

    `target` is the type of one text's tensor; UsageError where an embedder of this kind cannot
    fill it, ModelError where its model's dimensions do not fit.
    """

    id: str
    type: str

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """UsageError unless the embedder can fill tensors of this type."""

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> Batch:
        """One row for each text, in order; the model runs batches of similar length."""

    def query(self, text: str, target: TensorType) -> Tensor:
        """The tensor of a query text."""


@runtime_checkable
class TokenSets(Protocol):
    """An embedder that can say which tokens a text has, for a corpus's document frequencies."""

    def token_sets(self, texts: Sequence[str]) -> SparseBatch:
        """The distinct tokens of each text, special ones left out, nothing cut off, weight 1."""


def find_embedder(embedders: Mapping[str, Embedder], name: str | None) -> Embedder:
    """The embedder of that id, or the only one where no id is given; UsageError otherwise."""
    valid = f"Valid embedders are {','.join(sorted(embedders))}" if embedders else ""
    if not embedders:
        raise UsageError("No embedders are configured; add one to services.xml")
    if name is None:
        if len(embedders) > 1:
            raise UsageError(
                f"Multiple embedders are provided but no embedder id is given. {valid}"
            )
        return next(iter(embedders.values()))
    if name not in embedders:
        raise UsageError(f"Can't find embedder '{name}'. {valid}")
    return embedders[name]
