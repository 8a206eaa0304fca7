"""Request parameters by their full names, over those of the query profile.

Spec: Vespa query API reference (parameters and their aliases), query profiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from siftline.errors import Place, QueryError
from siftline.schema.nearest import nearest
from siftline.schema.package import Package, QueryProfile

#: Alias in lower case → full name; aliases match in any case.
ALIASES: dict[str, str] = {
    "count": "hits",
    "start": "offset",
    "query": "model.queryString",
    "type": "model.type",
    "default-index": "model.defaultIndex",
    "lang": "model.language",
    "language": "model.language",
    "locale": "model.locale",
    "restrict": "model.restrict",
    "sources": "model.sources",
    "search": "model.sources",
    "filter": "model.filter",
    "path": "model.searchPath",
    "ranking": "ranking.profile",
    "rankfeatures": "ranking.listFeatures",
    "sorting": "ranking.sorting",
    "ranking.rerankcount": "ranking.secondPhase.rerankCount",
    "summary": "presentation.summary",
    "format": "presentation.format",
    "bolding": "presentation.bolding",
    "timing": "presentation.timing",
    "format.tensors": "presentation.format.tensors",
    "tracelevel": "trace.level",
    "explainlevel": "trace.explainLevel",
}

_PREFIXES = {
    "input.": "ranking.features.",
    "rankfeature.": "ranking.features.",
    "rankproperty.": "ranking.properties.",
}
_GROUPS = frozenset(
    {"ranking", "model", "presentation", "trace", "input", "rankfeature", "rankproperty", "select"}
)
_INPUT = re.compile(r"^(?:input|rankfeature|ranking\.features)\.query\([^)]*\)$")
_SUBSTITUTION = re.compile(r"%\{([^}]+)\}")
_SECONDS = {"": 1.0, "ks": 1e3, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_TIME = re.compile(r"^\s*(\d+(?:\.\d*)?|\.\d+)\s*(ks|s|ms|us|µs|)\s*$")


#: Longer names are not remembered: whoever asks chooses them.
_REMEMBERED = 64


def full_name(name: str) -> str:
    """The full name that a parameter or alias stands for."""
    return _short_name(name) if len(name) <= _REMEMBERED else _full_name(name)


@lru_cache(maxsize=4096)
def _short_name(name: str) -> str:
    return _full_name(name)


def _full_name(name: str) -> str:
    alias = ALIASES.get(name.lower())
    if alias is not None:
        return alias
    for prefix, full in _PREFIXES.items():
        if name.startswith(prefix):
            return full + name.removeprefix(prefix)
    return name


class Parameters(Mapping[str, Any]):
    """Values by full name; an alias finds its full name's value."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {full_name(name): value for name, value in values.items()}

    def __getitem__(self, name: str) -> Any:
        return self._values[full_name(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str | None:
        """The value as text, None where absent or empty."""
        value = self.get(name)
        return None if value is None or value == "" else str(value)

    def whole(self, name: str) -> int | None:
        """The value as a whole number from 0, None where absent."""
        value = self.get(name)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if number < 0 or not number.is_integer():
            raise QueryError(
                f"'{name}' must be a whole number from 0, not '{value}'", Place(field=name)
            )
        return int(number)

    def flag(self, name: str) -> bool:
        """The value as true or false; absent is false."""
        value = self.get(name, False)
        if isinstance(value, bool):
            return value
        if str(value).lower() not in ("true", "false"):
            raise QueryError(f"'{name}' must be true or false, not '{value}'", Place(field=name))
        return str(value).lower() == "true"

    def seconds(self, name: str) -> float | None:
        """A duration: `2`, `2s`, `1500ms`; a bare number is seconds. None where absent."""
        value = self.get(name)
        if value is None or value == "":
            return None
        found = _TIME.match(str(value))
        if not found:
            raise QueryError(
                f"'{name}' must be a duration like 2, 1.5s or 500ms, not '{value}'",
                Place(field=name),
            )
        return float(found[1]) * _SECONDS[found[2]]

    def under(self, prefix: str) -> dict[str, Any]:
        """Values of the parameters that start with `prefix`, without it."""
        return {n.removeprefix(prefix): v for n, v in self.items() if n.startswith(prefix)}


def flatten(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Nested objects as dotted names; tensor values of inputs and other objects stay whole."""
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if not isinstance(value, Mapping) or _INPUT.match(name):
            flat[name] = value
            return
        if name.split(".")[0] not in _GROUPS:
            flat[name] = value
        for key, inner in value.items():
            add(f"{name}.{key}", inner)

    for key, value in parameters.items():
        add(str(key), value)
    return flat


def request_parameters(request: Mapping[str, Any], package: Package) -> Parameters:
    """The request's parameters over those of its query profile, by full name.

    The profile is the one `queryProfile` names, else `default` where there is one; where the
    request's `ranking` is the name of a query profile, that one too, unless the request brings
    YQL and no query text for the profile to embed. QueryError: unknown profile; maxHits and
    maxOffset outside a query profile; JSON `select`.
    """
    if any(str(name).split(".")[0] == "select" for name in request):
        raise QueryError(
            "JSON 'select' queries are not supported: write yql", Place(field="select")
        )
    own = Parameters(flatten(request))
    for name in ("maxHits", "maxOffset"):
        if name in own:
            raise QueryError(f"{name} must be specified in a query profile", Place(field=name))
    values: dict[str, Any] = {}
    fixed: set[str] = set()
    for profile in _profiles(own, package):
        given = {full_name(name): value for name, value in profile.fields.items()}
        values.update({n: v for n, v in given.items() if n not in fixed})
        fixed |= {full_name(name) for name in profile.fixed}
    values.update({name: value for name, value in own.items() if name not in fixed})
    return Parameters(_substituted(values))


def _profiles(own: Parameters, package: Package) -> list[QueryProfile]:
    wanted = own.text("queryProfile")
    known = package.query_profiles
    if wanted is not None and wanted not in known and wanted != "default":
        raise QueryError(
            f"there is no query profile '{wanted}'{nearest(wanted, known)}",
            Place(field="queryProfile"),
        )
    names = [wanted or "default"]
    ranking = own.text("ranking.profile")
    complete = "yql" in own and "model.queryString" not in own
    if ranking in known and not complete and ranking not in names:
        names.append(str(ranking))
    return [package.query_profile(name) for name in names if name in known]


def _substituted(values: dict[str, Any]) -> dict[str, Any]:
    """`%{other}` in text values replaced; a name that is not set becomes nothing."""

    def replace(found: re.Match[str]) -> str:
        return str(values.get(full_name(found[1]), ""))

    return {
        name: _SUBSTITUTION.sub(replace, value) if isinstance(value, str) else value
        for name, value in values.items()
    }
