"""The embedders of a package by id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock

from siftline.encode.embedder import Embedder


class Embedders(Mapping[str, Embedder]):
    """Embedders by id, each opened when it is first asked for."""

    def __init__(self, ids: Iterable[str], opener: Callable[[str], Embedder]) -> None:
        self._ids = tuple(ids)
        self._opener = opener
        self._opened: dict[str, Embedder] = {}
        self._lock = Lock()

    def __getitem__(self, id_: str) -> Embedder:
        if id_ not in self._ids:
            raise KeyError(id_)
        with self._lock:
            if id_ not in self._opened:
                self._opened[id_] = self._opener(id_)
            return self._opened[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
