"""Strategies for requests to `/document/v1`, to documents of a type `music`."""

from __future__ import annotations

import json

from hypothesis import strategies as st

METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
PARTS = ["document", "v1", "ns", "music", "film", "docid", "group", "number", "1", "", "%2F", "%FF"]
NAMES = (
    "condition create cluster bucketSpace concurrency continuation fieldSet selection slices"
    " sliceId stream wantedDocumentCount timeout timeChunk tracelevel route format.tensors"
    " fromTimestamp includeRemoves dryRun destinationCluster"
).split()
VALUES = ["true", "false", "content", "music.year==1", "1", "0", "-1", "9" * 30, "[all]", "(", "5s"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(), of, max_size=3)
)
FIELDS = st.dictionaries(
    st.sampled_from(["title", "year", "tags", "tags[0]", "weights", "vector", "x{y}"]),
    JSON | st.dictionaries(st.sampled_from(["assign", "add", "remove", "modify"]), JSON),
)
BODIES = (
    st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
    | FIELDS.map(lambda fields: json.dumps({"fields": fields}).encode())
)
PATHS = (
    st.just(["ns", "music", "docid", "1"])
    | st.just(["ns", "music", "docid", ""])
    | st.lists(st.sampled_from(PARTS) | st.text("a/%:?#æ ", max_size=5), max_size=6)
)
QUERIES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=5))
#: What an answer may be; a time limit that a request sets itself can be over (504).
STATUSES = (200, 204, 400, 404, 405, 412, 504)


def waiting_little(query: dict[str, str]) -> dict[str, str]:
    """A wait that a parameter asks for is not what is looked for."""
    return {**query, "timeout": "2s"} if "timeout" not in query else query
