"""Records of what a model said of texts: made once, kept on disk, made ahead of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from siftline.errors import UsageError
from siftline.model.progress import Progress, silent
from siftline.train.score_cache import ScoreCache, record_key

#: What a model is asked about: two texts, or one behind an empty one.
Item = tuple[str, str]

#: Items that go through a model and into the cache together: what a kill costs at most.
CHUNK = 512


class Records:
    """The record of each item, from the cache or from the model.

    teacher: the key of the model and its use. encode: makes the records of items, in their order.
    Without a cache every call asks the model.
    """

    def __init__(
        self,
        teacher: str,
        cache: ScoreCache | None,
        encode: Callable[[Sequence[Item]], list[bytes]],
    ) -> None:
        self._teacher = teacher
        self._cache = cache
        self._encode = encode

    def get(self, items: Sequence[Item]) -> list[bytes]:
        """One record for each item; those that are missing are made together and kept."""
        keys = [record_key(self._teacher, *item) for item in items]
        known: dict[bytes, bytes] = {}
        wanted = dict(zip(keys, items, strict=True))
        if self._cache is not None:
            found = zip(wanted, self._cache.get(wanted), strict=True)
            known = {key: record for key, record in found if record is not None}
        new = [key for key in wanted if key not in known]
        known |= self._made(new, [wanted[key] for key in new])
        return [known[key] for key in keys]

    def fill(
        self,
        items: Iterable[Item],
        what: str,
        progress: Progress = silent,
        *,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """Make the records that the cache lacks, longest items first, a chunk at a time.

        what: for progress, which is told the records that are there and how many there will be.
        share: (number of this process, how many there are); each makes its own part. A call that
        was stopped goes on where it was. UsageError without a cache.
        """
        if self._cache is None:
            raise UsageError("scores can only be computed ahead with a teacher_cache")
        wanted = {record_key(self._teacher, *item): item for item in dict.fromkeys(items)}
        missing = self._cache.missing(wanted)
        missing.sort(key=lambda key: sum(map(len, wanted[key])), reverse=True)
        own = missing[share[0] :: share[1]]
        total, done = len(wanted), len(wanted) - len(own)
        progress(what, done, total)
        for start in range(0, len(own), CHUNK):
            keys = own[start : start + CHUNK]
            self._made(keys, [wanted[key] for key in keys])
            done += len(keys)
            progress(what, done, total)

    def _made(self, keys: Sequence[bytes], items: Sequence[Item]) -> dict[bytes, bytes]:
        if not items:
            return {}
        records = dict(zip(keys, self._encode(items), strict=True))
        if self._cache is not None:
            self._cache.put(records)
        return records
