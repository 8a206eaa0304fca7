"""Result → JSON-able objects in the shape of Vespa's default renderer (spec 3.11)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from siftline.respond.hits import Coverage, FeatureValue, Hit, Result
from siftline.respond.problems import SearchError
from siftline.respond.trace import Trace
from siftline.tensor.json import to_json as tensor_json
from siftline.tensor.tensor import Tensor

#: Reasons for less than full coverage, in the order they are written.
DEGRADATIONS = ("match-phase", "timeout", "adaptive-timeout", "non-ideal-state")


def to_json(result: Result, *, tensors: str = "short") -> dict[str, Any]:
    """The whole answer; `tensors` is the tensor form: `short`, `long`, `short-value`, …"""
    root: dict[str, Any] = {
        "id": "toplevel",
        "relevance": 1.0,
        "fields": {"totalCount": result.total},
        "coverage": _coverage(result.coverage),
    }
    if result.errors:
        root["errors"] = [_error(error) for error in result.errors]
    if result.hits:
        root["children"] = [hit_json(hit, tensors) for hit in result.hits]
    answer: dict[str, Any] = {"root": root}
    if result.timing is not None:
        answer["timing"] = {
            "querytime": result.timing.query,
            "summaryfetchtime": result.timing.summary,
            "searchtime": result.timing.search,
        }
    if result.trace is not None and result.trace.level >= 1:
        answer["trace"] = _trace(result.trace)
    return answer


def failure_json(error: SearchError) -> dict[str, Any]:
    """The answer to a request that could not be answered: no hits, no coverage, the error."""
    fields = {"totalCount": 0}
    root = {"id": "toplevel", "relevance": 1.0, "fields": fields, "errors": [_error(error)]}
    return {"root": root}


def hit_json(hit: Hit, tensors: str = "short") -> dict[str, Any]:
    """One hit: id, relevance, source and fields, the features among the fields."""
    fields: dict[str, Any] = {}
    if hit.match_features is not None:
        fields["matchfeatures"] = _features(hit.match_features, tensors)
    if hit.summary_features is not None:
        fields["summaryfeatures"] = _features(hit.summary_features, tensors)
    fields.update((name, value_json(value, tensors)) for name, value in hit.fields.items())
    return {
        "id": hit.id,
        "relevance": number_json(hit.relevance),
        "source": hit.source,
        "fields": fields,
    }


def number_json(value: float) -> float | str:
    """A double, or "NaN", "Infinity", "-Infinity", which JSON has no numbers for."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    return number if math.isfinite(number) else ("Infinity" if number > 0 else "-Infinity")


def value_json(value: Any, tensors: str = "short") -> Any:
    """A field's value; tensors in the form asked for, numpy numbers as plain ones."""
    if isinstance(value, Tensor):
        return tensor_json(value, tensors)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return number_json(value)
    if isinstance(value, Mapping):
        return {str(key): value_json(item, tensors) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [value_json(item, tensors) for item in value]
    return value


def _features(features: Mapping[str, FeatureValue], tensors: str) -> dict[str, Any]:
    return {name: value_json(value, tensors) for name, value in features.items()}


def _coverage(coverage: Coverage) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "coverage": coverage.percent,
        "documents": coverage.documents,
        "full": coverage.full,
        "nodes": 1,
        "results": 1,
        "resultsFull": int(coverage.full),
    }
    if coverage.degraded:
        answer["degraded"] = {reason: reason in coverage.degraded for reason in DEGRADATIONS}
    return answer


def _error(error: SearchError) -> dict[str, Any]:
    answer: dict[str, Any] = {"code": error.code, "summary": error.kind.summary}
    if error.source is not None:
        answer["source"] = error.source
    answer["message"] = error.message
    if error.transient:
        answer["transient"] = True
    return answer


def _trace(trace: Trace) -> dict[str, Any]:
    children: list[dict[str, Any]] = [{"message": line} for line in trace.lines()]
    phases = [
        {"name": p.name, "entered": p.entered, "left": p.left, "seconds": p.seconds}
        for p in trace.phases
    ]
    return {"children": children, "phases": phases}
