"""The description of the HTTP interface (OpenAPI 3.1), served at `/openapi.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from siftline.serve.openapi_schemas import SCHEMAS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_FLAG: Json = {"type": "boolean"}
_OBJECT: Json = {"type": "object"}
_TENANT = "/application/v2/tenant/{tenant}"
_INSTANCE = (
    f"{_TENANT}/application/{{application}}/environment/{{environment}}"
    "/region/{region}/instance/{instance}"
)
_TIMEOUT: Json = {"type": "string", "pattern": r"^\d+(\.\d+)?(ks|s|ms)?$", "example": "5s"}


@dataclass(frozen=True, slots=True)
class Names:
    """What a package calls its document types, rankings and models; empty where unknown."""

    types: tuple[str, ...] = ()
    rankings: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@lru_cache(maxsize=4)
def document(names: Names | None = None, *, config: bool = False) -> Json:
    """The description of one port: the container's for a package, or the config port's."""
    named = names or Names()
    groups = (
        (_state(), _deploy())
        if config
        else (_state(), _search(named), _documents(named), _models(named))
    )
    paths: Json = {}
    for group in groups:
        paths.update(group)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Siftline, config port" if config else "Siftline",
            "version": version("siftline"),
            "description": "Vespa's HTTP API, served by Siftline.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(text: str, schema: Json | None = None, *types: str) -> Json:
    """A response; more content types than JSON's have no schema."""
    first, *others = types or ("application/json",)
    content: Json = {first: {"schema": schema or {}}, **{kind: {} for kind in others}}
    return {"description": text, "content": content}


def _failure(name: str, *types: str) -> Json:
    """What is wrong, in the words of a group of paths, or what never came to that group."""
    return _answer("What is wrong.", {"anyOf": [_ref(name), _ref("Error")]}, *types)


def _parameters(where: str, named: Mapping[str, Json]) -> list[Json]:
    return [
        {"name": name, "in": where, "required": where == "path", "schema": schema}
        for name, schema in named.items()
    ]


def _operation(
    summary: str,
    answer: Json,
    error: Json,
    *,
    path: Mapping[str, Json] | None = None,
    query: Mapping[str, Json] | None = None,
    body: Json | None = None,
) -> Json:
    operation: Json = {
        "summary": summary,
        "parameters": [*_parameters("path", path or {}), *_parameters("query", query or {})],
        "responses": {"200": answer, "default": error},
    }
    if body is not None:
        operation["requestBody"] = {"content": body, "required": True}
    return operation


_ERROR = _answer("What is wrong.", _ref("Error"))


def _state() -> Json:
    json_paths = {
        "/": "The package that is served and what answers where.",
        "/ApplicationStatus": "The package that is served and what answers where.",
        "/state/v1/": "What there is below this path.",
        "/state/v1/health": "Whether requests are answered.",
        "/state/v1/metrics": "Every metric with its last value.",
        "/state/v1/config": "The generation that is served.",
        "/state/v1/version": "The version of the server.",
        "/openapi.json": "This description.",
    }
    text_paths = {
        "/status.html": ("Whether requests are answered.", "text/html"),
        "/metrics": ("Every metric in Prometheus' text format.", "text/plain"),
    }
    paths: Json = {
        path: {"get": _operation(text, _answer(text, _OBJECT), _ERROR)}
        for path, text in json_paths.items()
    }
    for path, (text, kind) in text_paths.items():
        paths[path] = {"get": _operation(text, _answer(text, _TEXT, kind), _ERROR)}
    return paths


def _one_of(names: tuple[str, ...]) -> Json:
    return {"type": "string", "enum": list(names)} if names else _TEXT


def _search(names: Names) -> Json:
    types = ("application/json", "application/cbor", "text/event-stream")
    query: Json = {
        "yql": {"type": "string", "example": "select * from sources * where true"},
        "query": _TEXT,
        "type": {"enum": ["weakAnd", "any", "all", "phrase", "web", "yql"]},
        "ranking": _one_of(names.rankings),
        "hits": {"type": "integer", "minimum": 0, "maximum": 400, "default": 10},
        "offset": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 0},
        "timeout": _TIMEOUT,
        "queryProfile": _TEXT,
        "restrict": _one_of(names.types),
        "summary": _TEXT,
        "language": _TEXT,
        "trace.level": {"type": "integer", "minimum": 0},
        "presentation.timing": _FLAG,
        "presentation.format": {"enum": ["default", "json", "cbor", "sse"]},
        "presentation.format.tensors": {
            "enum": ["short", "long", "short-value", "long-value", "hex", "hex-value"]
        },
    }
    found, wrong = _answer("Hits.", _ref("Result"), *types), _failure("Result", *types)
    body = {
        "application/json": {"schema": {"type": "object", "properties": query}},
        "application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": query}},
    }
    methods = {
        "get": _operation("Ask a query.", found, wrong, query=query),
        "post": _operation("Ask a query.", found, wrong, body=body),
    }
    return {"/search/": methods}


def _documents(names: Names) -> Json:
    reply, wrong = _answer("Done.", _ref("DocumentReply")), _failure("DocumentReply")
    identity: Json = {"namespace": _TEXT, "document-type": _one_of(names.types)}
    write: Json = {
        "condition": _TEXT,
        "create": _FLAG,
        "route": _TEXT,
        "timeout": _TIMEOUT,
        "tracelevel": {"type": "integer", "minimum": 0, "maximum": 9},
        "dryRun": _FLAG,
    }
    read: Json = {"fieldSet": _TEXT, "cluster": _TEXT, "timeout": _TIMEOUT}
    visit: Json = {
        **read,
        "selection": _TEXT,
        "continuation": _TEXT,
        "wantedDocumentCount": {"type": "integer", "minimum": 1, "maximum": 1024},
        "slices": {"type": "integer", "minimum": 1},
        "sliceId": {"type": "integer", "minimum": 0},
        "stream": _FLAG,
    }
    body = {"application/json": {"schema": _ref("Operation")}}
    paths: Json = {}
    for kind, more in (("docid", {}), ("number/{number}", {"number": {"type": "integer"}}),
                       ("group/{group}", {"group": _TEXT})):  # fmt: skip
        path = {**identity, **more, "id": _TEXT}
        folder = f"/document/v1/{{namespace}}/{{document-type}}/{kind}"
        paths[f"{folder}/{{id}}"] = {
            "get": _operation("Get a document.", reply, wrong, path=path, query=read),
            "post": _operation("Put a document.", reply, wrong, path=path, query=write, body=body),
            "put": _operation("Update fields.", reply, wrong, path=path, query=write, body=body),
            "delete": _operation("Remove a document.", reply, wrong, path=path, query=write),
        }
        several = {**identity, **more}
        paths[f"{folder}/"] = {
            "get": _operation("Visit documents.", reply, wrong, path=several, query=visit)
        }
    paths["/document/v1/"] = {"get": _operation("Visit all.", reply, wrong, query=visit)}
    return paths


def _models(names: Names) -> Json:
    base = "/model-evaluation/v1"
    found, wrong = _answer("Found.", _OBJECT), _answer("What is wrong.", _OBJECT)
    model: Json = {"model": _one_of(names.models)}
    function: Json = {**model, "function": _TEXT}
    forms: Json = {"format.tensors": {"enum": ["short", "long", "short-value", "long-value"]}}
    result = _answer("A tensor.")
    paths: Json = {f"{base}/": {"get": _operation("List the models.", found, wrong)}}
    for path, named in ((f"{base}/{{model}}", model), (f"{base}/{{model}}/{{function}}", function)):
        paths[path] = {"get": _operation("Functions and arguments.", found, wrong, path=named)}
        evaluate = {"path": named, "query": forms}
        paths[f"{path}/eval"] = {
            "get": _operation("Evaluate.", result, wrong, **evaluate),
            "post": _operation("Evaluate.", result, wrong, **evaluate),
        }
    return paths


def _deploy() -> Json:
    tenant: Json = {"tenant": {"const": "default"}}
    session: Json = {**tenant, "session": {"type": "integer", "minimum": 1}}
    instance: Json = {
        name: {"const": value}
        for name, value in (
            ("tenant", "default"),
            ("application", "default"),
            ("environment", "prod"),
            ("region", "default"),
            ("instance", "default"),
        )
    }
    package = {kind: {"schema": {"type": "string", "format": "binary"}}
               for kind in ("application/zip", "application/x-gzip")}  # fmt: skip
    done = _answer("Done.", _OBJECT)
    paths: Json = {
        f"{_TENANT}/prepareandactivate": {
            "post": _operation("Deploy.", done, _ERROR, path=tenant, body=package)
        },
        f"{_TENANT}/session": {
            "post": _operation("Upload.", done, _ERROR, path=tenant, body=package)
        },
        f"{_INSTANCE}/serviceconverge": {
            "get": _operation("Whether the package is served.", done, _ERROR, path=instance)
        },
        f"{_INSTANCE}/content/": {
            "get": _operation("Files of the package.", _answer("Paths."), _ERROR, path=instance)
        },
    }
    for name in ("prepared", "active"):
        paths[f"{_TENANT}/session/{{session}}/{name}"] = {
            "put": _operation(f"Make the session {name}.", done, _ERROR, path=session)
        }
    return paths
