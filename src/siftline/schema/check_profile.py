"""Checks what the rank profiles of a schema name: parents, models, functions, fields, inputs.

Expressions are not parsed here; names are found by the shape `feature(name)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from siftline.errors import PackageError, Place
from siftline.schema.definition import Expression, Field, OnnxModel, RankProfile, Schema
from siftline.schema.inherit import resolve_profile
from siftline.schema.nearest import nearest
from siftline.schema.places import Places

#: features without arguments that an expression may name like a function
FEATURES = (
    "nativeRank",
    "nativeFieldMatch",
    "nativeProximity",
    "nativeAttributeMatch",
    "nativeDotProduct",
    "firstPhase",
    "secondPhase",
    "firstPhaseRank",
    "firstPhaseMax",
    "relevanceScore",
    "queryTermCount",
    "globalSequence",
    "num_docs_indexed",
    "random",
    "now",
)

_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\(\s*\)")
_BARE = re.compile(r"\s*([A-Za-z_]\w*)\s*")
_ONNX = re.compile(r"(?<![\w.])onnx(?:Model)?\(\s*(\w+)\s*\)")
_QUERY = re.compile(r"(?<![\w.])query\(\s*(\w+)\s*\)")
_FIELD = re.compile(
    r"(?<![\w.])(?:(attribute|bm25)\(\s*\"?(\w+)\"?|(closeness|distance)\(\s*field\s*,\s*(\w+))"
)
_SOURCE = re.compile(r"(attribute|query|constant)\(\s*(\w+)\s*\)")


def check_profiles(schema: Schema) -> None:
    """PackageError, with its place, for the first name in a rank profile that leads nowhere."""
    for name in schema.rank_profiles:
        profile = resolve_profile(schema, name)
        for parameters, expression in _expressions(profile):
            _check_functions(profile, expression, parameters)
            _check_fields(schema, expression, parameters)
            _check_models(schema, profile, expression)
            if profile.strict:
                _check_queries(profile, expression)


def _expressions(profile: RankProfile) -> Iterator[tuple[tuple[str, ...], Expression]]:
    for function in profile.functions.values():
        yield function.parameters, function.expression
    for phase in (profile.first_phase, profile.second_phase, profile.global_phase):
        if phase is not None and phase.expression is not None:
            yield (), phase.expression
    for features in (profile.match_features, profile.summary_features):
        for feature in features or ():
            yield (), feature


def _at(expression: Expression, offset: int) -> Place | None:
    place = expression.place
    return Places(expression.text, place.file, place).at(offset) if place else None


def _check_functions(
    profile: RankProfile, expression: Expression, parameters: tuple[str, ...]
) -> None:
    known = (*profile.functions, *FEATURES, *profile.constants, *parameters, "true", "false")
    bare = _BARE.fullmatch(expression.text)
    found = [bare] if bare else list(_CALL.finditer(expression.text))
    for match in found:
        if match[1] not in known:
            raise PackageError(
                f"rank profile '{profile.name}' has no function '{match[1]}'"
                f"{nearest(match[1], (*profile.functions, *FEATURES))}",
                _at(expression, match.start(1)),
            )


def _check_fields(schema: Schema, expression: Expression, parameters: tuple[str, ...]) -> None:
    fields: Mapping[str, Field] = {
        name: f for f in schema.fields.values() for name in (f.name, *f.aliases)
    }
    for match in _FIELD.finditer(expression.text):
        feature, name = match[1] or match[3], match[2] or match[4]
        if name in parameters:
            continue
        place = _at(expression, match.start())
        if name not in fields:
            raise PackageError(
                f"{feature} names field '{name}', which schema '{schema.name}' does not have"
                f"{nearest(name, fields)}",
                place,
            )
        field = fields[name]
        if feature == "bm25" and not field.bm25:
            raise PackageError(f"bm25({name}) needs 'index: enable-bm25' on field '{name}'", place)
        if feature != "bm25" and not field.is_attribute:
            raise PackageError(f"{feature} of '{name}' needs 'attribute' in its indexing", place)


def _check_models(schema: Schema, profile: RankProfile, expression: Expression) -> None:
    for match in _ONNX.finditer(expression.text):
        name = match[1]
        if name not in profile.onnx_models:
            raise PackageError(
                f"there is no onnx-model '{name}'{nearest(name, profile.onnx_models)}",
                _at(expression, match.start()),
            )
        _check_sources(schema, profile, profile.onnx_models[name])


def _check_sources(schema: Schema, profile: RankProfile, model: OnnxModel) -> None:
    for port, source in model.inputs.items():
        found = _SOURCE.fullmatch(source)
        if found is None:
            name = source.removesuffix("()").strip()
            if name not in profile.functions:
                raise PackageError(
                    f"input '{port}' of onnx-model '{model.name}' is '{source}', which is no "
                    f"function of rank profile '{profile.name}'{nearest(name, profile.functions)}",
                    model.place,
                )
            if profile.functions[name].parameters:
                raise PackageError(
                    f"input '{port}' of onnx-model '{model.name}' is function '{name}', which "
                    "takes arguments",
                    model.place,
                )
            continue
        kind, name = found[1], found[2]
        known = {"attribute": schema.fields, "constant": profile.constants}.get(kind)
        if known is not None and name not in known:
            raise PackageError(
                f"input '{port}' of onnx-model '{model.name}' is {source}, which does not exist"
                f"{nearest(name, known)}",
                model.place,
            )


def _check_queries(profile: RankProfile, expression: Expression) -> None:
    for match in _QUERY.finditer(expression.text):
        if match[1] not in profile.inputs:
            raise PackageError(
                f"rank profile '{profile.name}' is strict and does not declare query({match[1]})"
                f"{nearest(match[1], profile.inputs)}",
                _at(expression, match.start()),
            )
