"""Text to token ids with a `tokenizer.json`, the same ids whatever the file presets.

Truncation and padding written into the file are switched off: several published files pad every
text to 128 or 512. Truncation is done here, on ids, so that one tokenizer serves every length and
every thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from siftline.errors import ModelError

#: Texts tokenised together; bounds the memory that the token objects of a batch take.
SLICE = 256

#: Characters tokenised at once of a text without a length limit.
CHUNK = 1 << 17

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s")


class Tokenizer:
    """A tokenizer of the `tokenizers` library; safe to share between threads.

    max_length: the longest row that `ids` gives when it is not told otherwise, special tokens
    included; None for no limit. preset_length: the limit written in the file for single texts
    (strategy LongestFirst), None without one.
    """

    def __init__(self, raw: Any, max_length: int | None = None) -> None:
        preset = raw.truncation or {}
        longest_first = preset.get("strategy", "longest_first") == "longest_first"
        self.preset_length: int | None = preset.get("max_length") if longest_first else None
        raw.no_truncation()
        raw.no_padding()
        self._raw = raw
        self.max_length = max_length
        self._prefix, self._suffix = _template(raw)

    @staticmethod
    def open(path: Path, max_length: int | None = None) -> Tokenizer:
        """The tokenizer of a `tokenizer.json`, or a folder with one; ModelError if it is none."""
        import tokenizers

        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise ModelError(f"no tokenizer file at '{file}'")
        try:
            raw = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # noqa: BLE001  the library raises bare Exception
            raise ModelError(f"'{file}' is not a tokenizer.json: {error}") from None
        return Tokenizer(raw, max_length)

    @staticmethod
    def wordpiece(path: Path, max_length: int | None = None) -> Tokenizer:
        """The lower-casing WordPiece tokenizer of a BERT `vocab.txt`; ModelError if it is none."""
        import tokenizers
        from tokenizers import models, normalizers, pre_tokenizers

        try:
            words = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"cannot read the vocabulary '{path}': {error}") from None
        vocabulary = {word: number for number, word in enumerate(words)}
        if "[UNK]" not in vocabulary:
            raise ModelError(f"'{path}' is not a WordPiece vocabulary: it has no [UNK]")
        raw = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        raw.normalizer = normalizers.BertNormalizer(lowercase=True)
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        raw.add_special_tokens(
            [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if t in vocabulary]
        )
        return Tokenizer(raw, max_length)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Token strings by id; ids that the file leaves out are empty."""
        known = self._raw.get_vocab(with_added_tokens=True)
        words = [""] * (max(known.values(), default=-1) + 1)
        for word, number in known.items():
            words[number] = word
        return tuple(words)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of the tokens that stand for no text: [CLS], [SEP], [PAD], [UNK], [MASK], …."""
        added = self._raw.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    @property
    def added(self) -> int:
        """How many special tokens surround a single text."""
        return len(self._prefix) + len(self._suffix)

    def token_id(self, token: str) -> int | None:
        """The id of a token string, None where the vocabulary lacks it."""
        found: int | None = self._raw.token_to_id(token)
        return found

    def ids(
        self, texts: Sequence[str], *, special: bool = True, max_length: int | None = None
    ) -> list[np.ndarray]:
        """One int64 row of token ids for each text, cut at the end to `max_length`.

        special: surround with the special tokens of a single text, which a cut keeps.
        """
        length = self.max_length if max_length is None else max_length
        limit = None if length is None else max(0, length - (self.added if special else 0))
        rows = self._plain(texts, limit)
        if not special:
            return rows
        return [np.concatenate([self._prefix, row, self._suffix]) for row in rows]

    def pairs(
        self, pairs: Sequence[tuple[str, str]], *, max_length: int | None = None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Rows of token ids and of token types for pairs of texts, with a pair's special tokens.

        Cut to `max_length` by the strategy longest_first: the longer text loses its end until the
        pair fits, both equally once they are of one length. A text is tokenised once, in however
        many pairs it stands.
        """
        before, between, after, types = self._pair_template
        length = self.max_length if max_length is None else max_length
        added = len(before) + len(between) + len(after)
        limit = None if length is None else max(0, length - added)
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        plain = dict(zip(texts, self._plain(texts, limit), strict=True))
        rows, kinds = [], []
        for one, other in pairs:
            first, second = plain[one], plain[other]
            if limit is not None:
                keep, rest = _longest_first(len(first), len(second), limit)
                first, second = first[:keep], second[:rest]
            parts = [before, first, between, second, after]
            rows.append(np.concatenate(parts))
            kinds.append(np.repeat(types, [len(part) for part in parts]))
        return rows, kinds

    @cached_property
    def _pair_template(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Special ids before, between and after a pair, and the types `(5,)` of all its parts."""
        encoding = self._raw.encode("a", "b")
        own = [-1 if part is None else part for part in encoding.sequence_ids]
        ids, types = np.array(encoding.ids, np.int64), np.array(encoding.type_ids, np.int64)
        first, second = [i for i, x in enumerate(own) if x == 0], own.index(1)
        last = len(own) - own[::-1].index(1)
        before, between, after = ids[: first[0]], ids[first[-1] + 1 : second], ids[last:]
        at = [0 if len(before) else first[0], first[0], min(first[-1] + 1, second), second, -1]
        return before, between, after, types[at]

    def _plain(self, texts: Sequence[str], limit: int | None) -> list[np.ndarray]:
        window = CHUNK if limit is None else 16 * limit + 1024
        clean = [_encodable(text) for text in texts]
        rows: list[np.ndarray | None] = [None] * len(clean)
        short = [i for i, text in enumerate(clean) if len(text) <= window]
        for start in range(0, len(short), SLICE):
            part = short[start : start + SLICE]
            for i, row in zip(part, self._encode([clean[i] for i in part]), strict=True):
                rows[i] = row[:limit]
        return [
            self._long(clean[i], limit, window) if row is None else row
            for i, row in enumerate(rows)
        ]

    def _long(self, text: str, limit: int | None, window: int) -> np.ndarray:
        """Ids of a long text without holding all its token objects at once.

        Tokenisers split at white space first, so pieces that end there give the ids of the whole.
        With a limit, a beginning is enough as soon as it holds clearly more tokens than that.
        """
        if limit is None:
            rows = [row for piece in _pieces(text, window) for row in self._encode([piece])]
            return np.concatenate(rows)
        while True:
            piece = text if window >= len(text) else next(_pieces(text, window))
            row = self._encode([piece])[0]
            if len(piece) == len(text) or len(row) >= limit + 16:
                return row[:limit]
            window *= 4

    def _encode(self, texts: list[str]) -> list[np.ndarray]:
        encodings = self._raw.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def _template(raw: Any) -> tuple[np.ndarray, np.ndarray]:
    """The special ids before and after a single text."""
    encoding = raw.encode("a")
    mask = list(encoding.special_tokens_mask)
    plain = len(raw.encode("a", add_special_tokens=False).ids)
    before = next((i for i, special in enumerate(mask) if not special), len(mask))
    ids = np.array(encoding.ids, dtype=np.int64)
    return ids[:before], ids[before + plain :]


def _longest_first(first: int, second: int, limit: int) -> tuple[int, int]:
    """How many tokens of two texts stay, at most `limit` together (`tokenizers`' longest_first)."""
    if first + second <= limit:
        return first, second
    short = min(first, second)
    long = max(short, limit - short) if short <= limit else short
    if short + long > limit:
        short, long = limit // 2, limit // 2 + limit % 2
    return (short, long) if first <= second else (long, short)


def _pieces(text: str, window: int) -> Iterator[str]:
    """Consecutive parts of about `window` characters, cut after white space if there is any."""
    start = 0
    while start < len(text):
        end = min(start + window, len(text))
        if end < len(text):
            half = start + window // 2
            cut = end
            while cut > half and not text[cut - 1].isspace():
                cut -= 1
            if cut == half:
                following = _SPACE.search(text, end, end + 8 * window)
                cut = following.end() if following else end
            end = cut
        yield text[start:end]
        start = end


def _encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer takes, replaced; pairs made whole."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
