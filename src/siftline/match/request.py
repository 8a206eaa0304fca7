"""Request parameters to a Query: what every front door calls (spec: Vespa query API reference)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from siftline.errors import Place, QueryError
from siftline.match.deadline import SOFT_FACTOR
from siftline.match.inputs import Embed, InputReader
from siftline.match.parameters import Parameters, request_parameters
from siftline.match.query import Nothing, Query
from siftline.match.simple import parse_user_query
from siftline.match.yql import Statement, parse_yql
from siftline.schema.definition import RankProfile, Schema
from siftline.schema.inherit import BUILT_IN, resolve_profile
from siftline.schema.nearest import nearest
from siftline.schema.package import Package

#: Limits that only a query profile may raise (maxHits, maxOffset).
MAX_HITS = 400
MAX_OFFSET = 1000

DEFAULT_HITS = 10

#: Seconds that a front door gives a query which states no timeout, as Vespa does.
DEFAULT_TIMEOUT = 0.5


def parse_request(
    parameters: Mapping[str, Any], package: Package, embed: Embed, *, complete: bool = True
) -> Query:
    """The query that request parameters ask for.

    parameters: names and values as sent, nested objects allowed. embed: called for every input
    `embed(…)`. complete: a request without YQL and text is an error. QueryError: YQL, an unknown
    source, rank profile or query profile, an input that does not fit, limits.
    """
    values = request_parameters(parameters, package)
    statement = _statement(values, package)
    null = statement is None
    if statement is None:
        if complete:
            raise QueryError("Null query", Place(field="query"), code=1)
        statement = Statement(None, None, Nothing())
    schema = _schema(values, statement, package)
    profile = _profile(values, schema, package)
    hits, offset = _window(values, statement)
    reader = InputReader(profile, tuple(package.services.components), embed)
    timeout = statement.timeout
    return Query(
        root=statement.where,
        profile=profile.name,
        schema=schema.name if schema is not None else None,
        inputs=reader.read(values),
        hits=hits,
        offset=offset,
        rerank_count=values.whole("ranking.secondPhase.rerankCount"),
        global_rerank_count=values.whole("ranking.globalPhase.rerankCount"),
        summary=values.text("presentation.summary"),
        select=statement.select,
        order_by=statement.order_by or _sorting(values),
        timeout=values.seconds("timeout") if timeout is None else timeout,
        soft_factor=_soft_factor(values),
        trace_level=values.whole("trace.level") or 0,
        exhaustive=values.flag("ranking.matching.exhaustive"),
        language=values.text("model.language"),
        rank_properties={n: str(v) for n, v in values.under("ranking.properties.").items()},
        parameters=values,
        null=null,
    )


def _statement(values: Parameters, package: Package) -> Statement | None:
    """What the request's YQL or text asks for; None where it asks for nothing."""
    fields = {
        name
        for schema in package.schemas.values()
        for name in (*schema.fields, *schema.fieldsets, *_aliases(schema), "sddocname")
    }
    yql, text = values.text("yql"), values.text("model.queryString")
    type_ = values.text("model.type") or "weakAnd"
    if yql is not None:
        return parse_yql(yql, values, fields)
    if text is None:
        return None
    if type_ == "yql":
        return parse_yql(text, values, fields)
    default = values.text("model.defaultIndex") or "default"
    root = parse_user_query(text, type_, default, fields)
    if isinstance(root, Nothing):
        return None
    return Statement(None, None, root)


def _aliases(schema: Schema) -> list[str]:
    return [alias for field in schema.fields.values() for alias in field.aliases]


def _schema(values: Parameters, statement: Statement, package: Package) -> Schema | None:
    """The one schema that is searched; None where several are."""
    wanted = set(package.schemas)
    listed = (values.text("model.sources"), values.text("model.restrict"))
    sources = [statement.sources or (), *((text or "").split(",") for text in listed)]
    for names in sources:
        chosen = {name.strip() for name in names} - {"", "*"}
        for name in sorted(chosen):
            if name not in package.schemas and name != package.services.content_id:
                valid = ", ".join(sorted({*package.schemas, package.services.content_id}))
                raise QueryError(
                    f"Could not resolve source ref '{name}'. Valid source refs are {valid}",
                    Place(field="yql"),
                )
        if chosen and package.services.content_id not in chosen:
            wanted &= chosen
    if not wanted:
        raise QueryError("sources and restrict leave no schema to search", Place(field="restrict"))
    return package.schemas[next(iter(wanted))] if len(wanted) == 1 else None


def _profile(values: Parameters, schema: Schema | None, package: Package) -> RankProfile:
    """The rank profile, resolved; of the first schema that has it where several are searched."""
    name = values.text("ranking.profile") or "default"
    schemas = [schema] if schema is not None else list(package.schemas.values())
    for candidate in schemas:
        if name in candidate.rank_profiles or name in BUILT_IN:
            return resolve_profile(candidate, name)
    known = {profile for candidate in schemas for profile in candidate.rank_profiles}
    shown = ", ".join(f"'{candidate.name}'" for candidate in schemas)
    raise QueryError(
        f"schema {shown} does not contain requested rank profile '{name}'"
        f"{nearest(name, sorted({*known, *BUILT_IN}))}",
        Place(field="ranking"),
    )


def _window(values: Parameters, statement: Statement) -> tuple[int, int]:
    """Hits and offset; YQL's limit counts from the first hit and beats the parameters."""
    hits, offset = values.whole("hits"), values.whole("offset")
    hits = DEFAULT_HITS if hits is None else hits
    offset = offset or 0
    if statement.limit is not None:
        offset = statement.offset or 0
        hits = max(statement.limit - offset, 0)
    elif statement.offset is not None:
        offset = statement.offset
    for number, what, parameter, limit in (
        (hits, "hits", "maxHits", MAX_HITS),
        (offset, "offset", "maxOffset", MAX_OFFSET),
    ):
        allowed = values.whole(parameter) if parameter in values else limit
        if allowed is not None and number > allowed:
            raise QueryError(
                f"{number} {what} requested, configured limit: {allowed}.",
                Place(field=what),
                code=3,
            )
    return hits, offset


def _soft_factor(values: Parameters) -> float | None:
    """`ranking.softtimeout.factor`, from 0 to 1; None where `…enable` is false."""
    if "ranking.softtimeout.enable" in values and not values.flag("ranking.softtimeout.enable"):
        return None
    text = values.text("ranking.softtimeout.factor")
    if text is None:
        return SOFT_FACTOR
    try:
        factor = float(text)
    except ValueError:
        factor = -1.0
    if not 0 <= factor <= 1:
        raise QueryError(
            f"'ranking.softtimeout.factor' must be a number from 0 to 1, not '{text}'",
            Place(field="ranking.softtimeout.factor"),
        )
    return factor


def _sorting(values: Parameters) -> tuple[tuple[str, bool], ...]:
    """`ranking.sorting`: `+price -year`, a bare name descending as Vespa has it for the API."""
    text = values.text("ranking.sorting") or ""
    return tuple((part.lstrip("+-"), not part.startswith("+")) for part in text.split())
