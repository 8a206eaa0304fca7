"""Text to index terms: the default analysis of `match: text` fields, documents and queries alike.

Unicode NFKC, lower case, accents removed, runs of letters and digits, Snowball stem.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from threading import Lock

#: Words longer than this are no words and are left out.
LONGEST_WORD = 1000

#: Stems kept for each language; a dictionary that outgrows it starts anew.
CACHED_STEMS = 1 << 19

#: Snowball algorithm by ISO 639-1 code; other languages are not stemmed.
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german",
    "el": "greek", "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian",
    "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_ACCENT = re.compile("[\u0300-\u036f]+")


def analyze(
    text: str, *, language: str = "en", stem: bool = True, normalize: bool = True
) -> list[str]:
    """The index terms of a text, in order.

    language: ISO 639-1 code, region ignored (`pt-BR`); one without a stemmer is not stemmed.
    normalize: remove accents.
    """
    words = _words(text, normalize)
    stems = _stems(language.lower().replace("_", "-").partition("-")[0]) if stem else None
    return words if stems is None else [stems[word] for word in words]


def _words(text: str, normalize: bool) -> list[str]:
    if text.isascii():
        words = _ASCII_WORD.findall(text.lower())
    else:
        text = unicodedata.normalize("NFKC", text).lower()
        if normalize:
            text = remove_accents(text)
        words = _unicode_word().findall(text)
    if len(text) > LONGEST_WORD:
        words = [word for word in words if len(word) <= LONGEST_WORD]
    return words


def remove_accents(text: str) -> str:
    """The text without combining diacritical marks (U+0300 to U+036F): é → e."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", text)))


@lru_cache(maxsize=1)
def _unicode_word() -> re.Pattern[str]:
    """Letters and digits with the combining marks that follow them, as Indic vowel signs do."""
    marks = [code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M"]
    marks += range(0xE0100, 0xE01F0)
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    inside = "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)
    return re.compile(f"[^\\W_](?:[^\\W_]|[{inside}])*")


class _Stems(dict[str, str]):
    """Stem by word, computed on first use; the stemmers keep state, hence the lock."""

    def __init__(self, algorithm: str) -> None:
        import snowballstemmer

        super().__init__()
        self._stemmer = snowballstemmer.stemmer(algorithm)
        self._lock = Lock()

    def __missing__(self, word: str) -> str:
        with self._lock:
            stem = str(self._stemmer.stemWord(word))
            if len(self) >= CACHED_STEMS:
                self.clear()
            self[word] = stem
        return stem


@lru_cache(maxsize=64)
def _stems(language: str) -> _Stems | None:
    algorithm = STEMMERS.get(language)
    return _loaded(algorithm) if algorithm else None


@lru_cache(maxsize=len(STEMMERS))
def _loaded(algorithm: str) -> _Stems | None:
    import snowballstemmer

    return _Stems(algorithm) if algorithm in snowballstemmer.algorithms() else None
