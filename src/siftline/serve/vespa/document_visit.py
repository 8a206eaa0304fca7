"""What a visit of `/document/v1` asks for, and reading it part by part (spec 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from siftline.application import Application
from siftline.errors import UsageError
from siftline.feed.operation import DocumentId
from siftline.index.visit import Visit
from siftline.schema.package import Package
from siftline.serve.vespa.document_checks import BUCKET_SPACES, check_cluster
from siftline.serve.vespa.document_fields import Show
from siftline.serve.vespa.document_parameters import Parameters
from siftline.serve.vespa.document_path import DocumentPath


def parse_visit(package: Package, path: DocumentPath, parameters: Parameters) -> Visit | None:
    """The visit that a path and its parameters mean, None where a bucket space holds nothing.

    UsageError where they are wrong.
    """
    cluster = parameters.text("cluster")
    if cluster is None and path.type is None:
        raise UsageError(
            "Must set 'cluster' parameter to a valid content cluster id when visiting at a root "
            "/document/v1/ level"
        )
    check_cluster(package, cluster)
    if path.type is not None and path.type not in package.schemas:
        raise UsageError(
            f"Document type '{path.type}' in cluster '{package.services.content_id}' is not "
            "mapped to a known bucket space"
        )
    for name in ("fromTimestamp", "toTimestamp"):
        if parameters.number(name):
            raise UsageError(f"{name} is not supported: documents are kept without their time")
    if parameters.flag("includeRemoves"):
        raise UsageError("includeRemoves is not supported: what was removed is not kept")
    space = parameters.text("bucketSpace") or BUCKET_SPACES[0]
    if space not in BUCKET_SPACES:
        raise UsageError(
            f"Bucket space '{space}' is not a known bucket space; expected one of "
            f"{', '.join(BUCKET_SPACES)}"
        )
    if space != BUCKET_SPACES[0] and path.type is None:
        return None
    slices, slice_id = _slice(parameters)
    own = parameters.text("selection")
    parts = [part for part in (own, *path.selections()) if part is not None]
    return Visit(
        type=path.type,
        selection=" and ".join(f"({part})" for part in parts) or None,
        slices=slices,
        slice_id=slice_id,
        continuation=parameters.text("continuation"),
    )


def _slice(parameters: Parameters) -> tuple[int, int]:
    slices = parameters.number("slices", 1)
    slice_id = parameters.number("sliceId")
    if slices is None and slice_id is None:
        return 1, 0
    if slices is None or slice_id is None:
        raise UsageError("slices and sliceId must be given together")
    if slice_id >= slices:
        raise UsageError(f"sliceId must be in [0, {slices}), got {slice_id}")
    return slices, slice_id


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as a reply shows it."""

    id: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Documents of a visit, and how far they bring it.

    token: where to go on, None at the end. percent: of what there is to go through.
    """

    documents: tuple[Shown, ...]
    token: str | None
    percent: float


def joined(parts: Sequence[Part]) -> Part:
    """Parts that follow each other as one."""
    last = parts[-1]
    return Part(tuple(d for part in parts for d in part.documents), last.token, last.percent)


class Reader:
    """Goes through the documents of a visit, part by part; None stands for no documents at all."""

    def __init__(self, application: Application, visit: Visit | None, show: Show) -> None:
        self._application = application
        self._visit = visit
        self._show = show

    def read(self, count: int, seconds: float) -> Part:
        """Up to so many documents, fewer after so many seconds; UsageError for a wrong visit."""
        if self._visit is None:
            return Part((), None, 100.0)
        page = self._application.visit_page(replace(self._visit, wanted=count, seconds=seconds))
        self._visit = replace(self._visit, continuation=page.continuation)
        shown = (Shown(i, self._show(DocumentId.parse(i).type, f)) for i, f in page.documents)
        return Part(tuple(shown), page.continuation, page.percent)
