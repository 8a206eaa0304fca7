"""The index that negatives are mined from: of an application package, or of words alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from siftline.application import Application, default_data
from siftline.errors import UsageError
from siftline.experiment.mining.one_profile import for_profile
from siftline.experiment.profiles import (
    Progress,
    collection_index,
    evaluation_index,
    feed_once,
    is_fed,
)
from siftline.feed.source import feed_file
from siftline.schema import builder
from siftline.schema.package import Package
from siftline.schema.read import read_package

#: Files of a package that say how it ranks; model files are named in them.
_WRITTEN = {".xml", ".sd", ".toml", ".py", ".profile", ".expression"}


def text_package() -> Package:
    """A package that ranks by BM25 over title and text, and needs no model."""
    schema = builder.Schema(
        "passage",
        builder.Field("title", "string", "summary"),
        builder.Field("text", "string", "summary"),
        builder.Field(
            "contents",
            "string",
            '(input title || "") . " " . (input text || "") | index',
            inside=False,
            index="enable-bm25",
        ),
        fieldsets={"default": "contents"},
        rank_profiles=[builder.RankProfile("bm25", first_phase="bm25(contents)")],
    )
    return builder.Application("text", schema)


@contextmanager
def mining_index(
    package: Path | None,
    profile: str,
    data: Path,
    index: Path | None,
    beside: Path,
    progress: Progress,
) -> Iterator[Application]:
    """An application with the corpus of a BEIR folder, fed where it is not yet.

    package: None for BM25 alone. index: the folder of an index of the whole package. Without one it
    is that of `siftline eval` where there is one, else an index of what the profile needs. Where
    there is no package it is named after the file `beside`, and removed unless an error or a stop
    leaves it to the next mining.
    """
    if package is None:
        with _text_index(data, index, beside, progress) as application:
            yield application
    elif index is not None or is_fed(evaluation_index(package, data)):
        with collection_index(package, data, index, progress) as application:
            yield application
    else:
        folder = default_data(package) / "mine" / profile / data.resolve().name
        with Application(for_profile(read_package(package), profile), folder) as application:
            feed_once(application, data, folder, progress)
            yield application


@contextmanager
def _text_index(
    data: Path, index: Path | None, beside: Path, progress: Progress
) -> Iterator[Application]:
    own = beside.with_name(f"{beside.name}.index")
    folder = index or own / _corpus_digest(data)
    with Application(text_package(), folder) as application:
        feed_once(application, data, folder, progress)
        yield application
    if index is None:
        shutil.rmtree(own)


def _corpus_digest(data: Path) -> str:
    """A name for the corpus as it is now: of where it is, its size and when it was written."""
    path = feed_file(data)
    if path is None:
        raise UsageError("a corpus cannot come from standard input")
    seen = path.stat()
    return sha256(f"{path.resolve()} {seen.st_size} {seen.st_mtime_ns}".encode()).hexdigest()[:16]


def package_digest(package: Path | None) -> str:
    """A digest of what a package says, so that a change of it is noticed."""
    digest = sha256()
    for path in sorted(package.rglob("*")) if package is not None else ():
        if path.suffix in _WRITTEN and path.is_file():
            digest.update(path.relative_to(package or path).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
