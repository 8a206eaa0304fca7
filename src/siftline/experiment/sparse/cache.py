"""Sparse vectors kept on disk, so that no text is encoded twice by the same model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from siftline.experiment.sparse.vectors import SparseVectors

#: Raised when the same model and texts give other vectors than before.
_VERSION = 1


class VectorCache:
    """Vectors by what made them and the texts they are of; folder None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def vectors(
        self, maker: str, texts: Sequence[str], make: Callable[[], SparseVectors]
    ) -> SparseVectors:
        """The vectors of texts, made if they are not there.

        maker: everything else that they depend on: model, settings.
        """
        if self._folder is None:
            return make()
        path = self._folder / f"{_digest(maker, texts)}.npz"
        if path.is_file():
            return SparseVectors.load(path)
        found = make()
        found.save(path)
        return found


def _digest(maker: str, texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(f"{_VERSION} {maker}\n".encode(), digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
