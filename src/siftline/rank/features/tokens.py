"""Transformer inputs from token ids: tokenInputIds and its kin (spec 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from siftline.encode.pairs import SEPARATOR, START, TokenInputs, token_inputs
from siftline.errors import PackageError, QueryError
from siftline.rank.features.names import (
    argument_text,
    argument_texts,
    canonical,
    whole_number,
)
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import feature
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.tensor.batch import DenseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import Dimension, TensorType

#: Feature → which of the three arrays of TokenInputs it gives.
TOKEN_FEATURES = {
    "tokenInputIds": "ids",
    "customTokenInputIds": "ids",
    "tokenTypeIds": "types",
    "tokenAttentionMask": "mask",
}


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a token feature asks for: one of `ids`, `types`, `mask`; its length; its parts."""

    kind: str
    length: int
    parts: tuple[Reference, ...]
    start: int = START
    separator: int = SEPARATOR

    @staticmethod
    def of(reference: Reference) -> TokenRequest:
        """The request of a reference; PackageError where its arguments are not legal."""
        custom = reference.name == "customTokenInputIds"
        skip = 3 if custom else 1
        if len(reference.arguments) <= skip:
            raise PackageError(
                f"{reference.name} takes {'start and separator ids, ' if custom else ''}a length"
                f" and at least one tensor of token ids: '{canonical(reference)}'"
            )
        numbers = [whole_number(reference, text) for text in argument_texts(reference)[:skip]]
        if numbers[-1] < 1:
            raise PackageError(f"the length in '{canonical(reference)}' must be at least 1")
        parts = []
        for argument in reference.arguments[skip:]:
            if not isinstance(argument, Reference):
                raise PackageError(
                    f"the token ids of {reference.name} must be an attribute, a query input or a"
                    f" function, not '{argument_text(argument)}'"
                )
            parts.append(argument)
        kind = TOKEN_FEATURES[reference.name]
        if custom:
            return TokenRequest(kind, numbers[2], tuple(parts), numbers[0], numbers[1])
        return TokenRequest(kind, numbers[0], tuple(parts))

    @property
    def sequence(self) -> tuple[int, tuple[str, ...]]:
        """What requests about the same sequence share: its length and its parts."""
        return self.length, tuple(canonical(part) for part in self.parts)

    @property
    def type(self) -> TensorType:
        """`tensor<float>(d0[1],d1[length])`."""
        return TensorType("float", (Dimension("d0", False, 1), Dimension("d1", False, self.length)))


def sequence_inputs(hits: HitFeatures, request: TokenRequest) -> TokenInputs:
    """The three int64 arrays `(n, length)` of a request's sequence."""
    parts = [_token_ids(hits, part) for part in request.parts]
    built = token_inputs(request.length, *parts, start=request.start, separator=request.separator)
    if built.ids.ndim == 2:
        return built
    return TokenInputs(*(np.broadcast_to(a, (hits.count, request.length)) for a in built))


def _token_ids(hits: HitFeatures, part: Reference) -> np.ndarray:
    """The ids of a part, `(N,)` where all hits share them, else `(n, N)`."""
    value = hits.feature(part)
    if isinstance(value, (Tensor, DenseBatch)) and _is_vector(value.type):
        return value.array if isinstance(value, Tensor) else value.values
    found = "a number" if isinstance(value, np.ndarray) else str(value.type)
    if found == "tensor()":
        found = "a number (was it sent with the query?)"
    raise QueryError(
        f"'{canonical(part)}' must be a tensor of token ids with one indexed dimension,"
        f" but it is {found}"
    )


def _is_vector(type_: TensorType) -> bool:
    return len(type_.indexed) == 1 and not type_.mapped


def _check(scope: Scope, reference: Reference) -> TensorType:
    return TokenRequest.of(reference).type


@feature(*TOKEN_FEATURES, check=_check)
def token_feature(hits: HitFeatures, reference: Reference) -> Value:
    """Ids, types or mask of the sequence, `tensor<float>(d0[1],d1[length])` for each hit."""
    request = TokenRequest.of(reference)
    array = getattr(sequence_inputs(hits, request), request.kind)
    values = np.asarray(array, np.float32)[:, None, :]
    return DenseBatch(request.type, values, np.ones(hits.count, bool))


def shared_sequence(requests: Sequence[TokenRequest]) -> bool:
    """Whether the requests are about one sequence, its attention mask among them."""
    return (
        any(request.kind == "mask" for request in requests)
        and len({request.sequence for request in requests}) == 1
    )
