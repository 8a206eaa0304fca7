"""What a request to `/document/v1` may name: document types, clusters, bucket spaces, routes."""

from __future__ import annotations

from siftline.errors import UsageError
from siftline.schema.definition import Schema
from siftline.schema.nearest import nearest
from siftline.schema.package import Package
from siftline.serve.vespa.document_parameters import Parameters

#: documents of a `global` space are copied to every node; one machine has none of them
BUCKET_SPACES = ("default", "global")


def schema_of(package: Package, type_: str) -> Schema:
    """The schema of a document type; UsageError where there is none."""
    if not package.schemas:
        raise _disabled()
    if type_ not in package.schemas:
        raise UsageError(f"Document type {type_} does not exist{nearest(type_, package.schemas)}")
    return package.schemas[type_]


def check_cluster(package: Package, name: str | None) -> None:
    """UsageError unless it is the content cluster, in the words that `vespa visit` reads."""
    known = package.services.content_id
    if not package.schemas:
        raise _disabled()
    if name is not None and name != known:
        raise UsageError(f"Your Vespa deployment has no content cluster '{name}', only '{known}'")


def check_route(package: Package, parameters: Parameters) -> None:
    """UsageError unless the route leads through indexing to the content cluster."""
    cluster = package.services.content_id
    known = ("default", "indexing", cluster, f"{cluster}-index")
    parameters.choice("route", known, "default")


def _disabled() -> UsageError:
    return UsageError(
        "Your Vespa deployment has no content clusters, so the document API is not enabled"
    )
