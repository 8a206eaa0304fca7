"""Rank profiles with everything inherited filled in (spec 1.11)."""

from __future__ import annotations

import dataclasses
from typing import Any

from siftline.errors import PackageError, UsageError
from siftline.schema.definition import Expression, Phase, RankProfile, Schema
from siftline.schema.nearest import nearest

#: What every schema has unless it declares its own.
BUILT_IN = {
    "default": RankProfile("default", first_phase=Phase(Expression("nativeRank"))),
    "unranked": RankProfile("unranked", first_phase=Phase(Expression("0"))),
}

_MERGED = ("inputs", "constants", "functions", "onnx_models", "rank_properties", "settings")
_PHASES = ("first_phase", "second_phase", "global_phase")
_FEATURES = ("match_features", "summary_features")


def resolve_profile(schema: Schema, name: str = "default") -> RankProfile:
    """The profile of that name, complete: constants and models of the schema too.

    Inputs, constants, functions, models, properties and settings are merged by name and the child
    wins; a phase keeps the parent's expression where only its settings are given; features are
    replaced, or added to those of the profile that `match-features inherits` names. A profile
    without a first phase ranks with nativeRank. UsageError for an unknown name; PackageError for
    a cycle, an unknown parent or parents that disagree on what the child does not settle.
    """
    if name not in schema.complete:
        schema.complete[name] = _complete(schema, name)
    return schema.complete[name]


def _complete(schema: Schema, name: str) -> RankProfile:
    if name not in schema.rank_profiles and name not in BUILT_IN:
        known = dict.fromkeys([*schema.rank_profiles, *BUILT_IN])
        raise UsageError(
            f"schema '{schema.name}' has no rank profile '{name}'{nearest(name, known)}"
        )
    profile = _resolve(schema, name, ())
    values: dict[str, Any] = {
        "constants": {**schema.constants, **profile.constants},
        "onnx_models": {**schema.onnx_models, **profile.onnx_models},
    }
    for phase in _PHASES:
        values[phase] = _folded(getattr(profile, phase))
    if values["first_phase"] is None or values["first_phase"].expression is None:
        native = BUILT_IN["default"].first_phase
        expression = native.expression if native else None
        values["first_phase"] = dataclasses.replace(
            values["first_phase"] or Phase(), expression=expression
        )
    return dataclasses.replace(profile, **values)


def _folded(phase: Phase | None) -> Phase | None:
    """On one node the bound of all nodes together is a bound of this one."""
    if phase is None or phase.total_rerank_count is None:
        return phase
    own = phase.rerank_count
    count = phase.total_rerank_count if own is None else min(own, phase.total_rerank_count)
    return dataclasses.replace(phase, rerank_count=count)


def _declared(schema: Schema, name: str, child: RankProfile | None = None) -> RankProfile:
    found = schema.rank_profiles.get(name) or BUILT_IN.get(name)
    if found is None:
        known = dict.fromkeys([*schema.rank_profiles, *BUILT_IN])
        who = f"rank profile '{child.name}' inherits " if child else ""
        raise PackageError(
            f"{who}'{name}', which schema '{schema.name}' does not have{nearest(name, known)}",
            child.place if child else None,
        )
    return found


def _resolve(schema: Schema, name: str, seen: tuple[str, ...]) -> RankProfile:
    own = _declared(schema, name)
    if name in seen:
        cycle = " → ".join([*seen[seen.index(name) :], name])
        raise PackageError(f"rank profiles inherit in a circle: {cycle}", own.place)
    parents = []
    for parent in own.inherits:
        _declared(schema, parent, own)
        parents.append(_resolve(schema, parent, (*seen, name)))
    values: dict[str, Any] = {"strict": own.strict or any(p.strict for p in parents)}
    for key in _MERGED:
        values[key] = _merged(own, parents, key)
    for key in _PHASES:
        values[key] = _phase(own, parents, key)
    for key in _FEATURES:
        values[key] = _features(schema, own, parents, key, (*seen, name))
        values[f"{key}_inherits"] = None
    return dataclasses.replace(own, inherits=(), **values)


def _conflict(own: RankProfile, what: str, first: str, second: str) -> PackageError:
    return PackageError(
        f"rank profile '{own.name}' inherits different {what} from '{first}' and '{second}'; "
        f"give it in '{own.name}'",
        own.place,
    )


def _merged(own: RankProfile, parents: list[RankProfile], key: str) -> dict[str, object]:
    mine = getattr(own, key)
    merged: dict[str, object] = {}
    origin: dict[str, str] = {}
    for parent in parents:
        for name, value in getattr(parent, key).items():
            if name in merged and name not in mine and merged[name] != value:
                what = f"{key.replace('_', ' ').removesuffix('s')} '{name}'"
                raise _conflict(own, what, origin[name], parent.name)
            merged[name] = value
            origin[name] = parent.name
    return {**merged, **mine}


def _phase(own: RankProfile, parents: list[RankProfile], key: str) -> Phase | None:
    mine: Phase | None = getattr(own, key)
    given: dict[str, Any] = {}
    origin: dict[str, str] = {}
    names = [f.name for f in dataclasses.fields(Phase)]
    for parent in parents:
        phase: Phase | None = getattr(parent, key)
        for name in names if phase else ():
            value = getattr(phase, name)
            settled = mine is not None and getattr(mine, name) is not None
            if value is None or settled:
                continue
            if name in given and given[name] != value:
                what = f"{name.replace('_', ' ')} of {key.replace('_', '-')}"
                raise _conflict(own, what, origin[name], parent.name)
            given[name], origin[name] = value, parent.name
    for name in names if mine else ():
        if getattr(mine, name) is not None:
            given[name] = getattr(mine, name)
    return Phase(**given) if mine is not None or given else None


def _features(
    schema: Schema, own: RankProfile, parents: list[RankProfile], key: str, seen: tuple[str, ...]
) -> tuple[Expression, ...] | None:
    mine: tuple[Expression, ...] | None = getattr(own, key)
    inherited: str | None = getattr(own, f"{key}_inherits")
    if inherited is not None:
        _declared(schema, inherited, own)
        base: tuple[Expression, ...] = getattr(_resolve(schema, inherited, seen), key) or ()
        return (*base, *(f for f in mine or () if f not in base))
    if mine is not None:
        return mine
    found: tuple[Expression, ...] | None = None
    origin = ""
    for parent in parents:
        theirs: tuple[Expression, ...] | None = getattr(parent, key)
        if theirs is None:
            continue
        if found is not None and found != theirs:
            raise _conflict(own, key.replace("_", "-"), origin, parent.name)
        found, origin = theirs, parent.name
    return found
