"""A schema as the text of a schema file, so that reading it gives the same schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from siftline.schema.definition import (
    Constant,
    DocumentSummary,
    Expression,
    Field,
    Function,
    Hnsw,
    Input,
    OnnxModel,
    Phase,
    RankProfile,
    Schema,
)
from siftline.schema.format_script import format_script
from siftline.schema.read_profile import SETTINGS
from siftline.schema.script import Script
from siftline.tensor.literal import format_literal
from siftline.tensor.tensor import Tensor

#: gives a constant a file in the package and says which; None keeps it in the schema
Place = Callable[[str, Constant], str | None]

_GROUP = re.compile(r"\{[^{}]*\}")
_SPECIAL = re.compile(r"[:{}\"'#\n]")
_PORT = re.compile(r"[A-Za-z_]\w*")
_KEY = re.compile(r"[A-Za-z_][\w.-]*(?:\([^(){}\s]*\)[\w.]*)?")
_INDENT = "  "


def format_schema(schema: Schema, place_constant: Place) -> str:
    """The text of the schema file; `place_constant(owner, constant)` files its constants."""
    inside = [_struct(name, schema) for name in schema.structs]
    inside += [_field(f) for f in schema.fields.values() if f.inside]
    parts: Parts = [_block(f"document {schema.name}", inside)]
    parts += [_field(f) for f in schema.fields.values() if not f.inside]
    parts += [f"{key}: {value}" for key, value in schema.settings.items()]
    for fieldset in schema.fieldsets.values():
        members = f"fields: {', '.join(fieldset.fields)}"
        parts.append(_block(f"fieldset {fieldset.name}", [members]))
    for name, constant in schema.constants.items():
        file = place_constant("", constant)
        type_ = constant.value.type if isinstance(constant.value, Tensor) else "tensor()"
        parts.append(_block(f"constant {name}", [f"file: {file}", f"type: {type_}"]))
    parts += [_onnx_model(model) for model in schema.onnx_models.values()]
    parts += [_summary(summary) for summary in schema.summaries.values()]
    profiles = [p for p in schema.rank_profiles.values() if _outer(p, schema) is None]
    parts += [_profile(profile, schema, place_constant) for profile in profiles]
    return "\n".join([*_block(f"schema {schema.name}", parts, gap=True), ""])


class _Raw(str):
    """Text of several lines that stays as it is, whatever it stands in."""


Lines = list[str]
Parts = list[str | Lines]


def _block(head: str, parts: Iterable[str | Lines], *, gap: bool = False) -> Lines:
    lines: Lines = []
    for part in parts:
        if gap and lines:
            lines.append("")
        lines.extend([part] if isinstance(part, str) else part)
    raw = (line if isinstance(line, _Raw) or not line else _INDENT + line for line in lines)
    return [f"{head} {{", *raw, "}"]


def _struct(name: str, schema: Schema) -> Lines:
    members = schema.structs[name].items()
    return _block(f"struct {name}", [_block(f"field {n} type {t}", []) for n, t in members])


def _field(field: Field) -> Lines:
    return _block(f"field {field.name} type {field.type}", _field_body(field))


def _field_body(field: Field) -> Parts:
    parts: Parts = [*_indexing(field.indexing), *_index(field), *_attribute(field), *_match(field)]
    if field.rank != "normal" or field.match == "exact":
        if not (field.rank == "filter" and field.match == "exact"):
            parts.append(f"rank: {field.rank}")
    if field.stemming != "best":
        parts.append(f"stemming: {field.stemming}")
    if not field.normalize:
        parts.append("normalizing: none")
    if field.weight != 100:
        parts.append(f"weight: {field.weight}")
    parts += [f"alias: {alias}" for alias in field.aliases]
    for key, value in field.hints.items():
        plain = key in ("query-command", "id")
        parts.append(f"{key}: {value}" if plain else _block(key, value.split("; ")))
    for name, part in field.struct_fields.items():
        parts.append(_block(f"struct-field {name}", _field_body(part)))
    return parts


def _indexing(script: Script) -> Parts:
    text = format_script(script)
    if not text:
        return []
    if len(script.statements) == 1 and not re.search(r"[:{}]", text):
        return [f"indexing: {text}"]
    single = [format_script(Script((statement,))) for statement in script.statements]
    return [_block("indexing", [f"{statement};" for statement in single])]


def _index(field: Field) -> Parts:
    parts: Parts = ["enable-bm25"] if field.bm25 else []
    if field.hnsw is not None and field.hnsw != Hnsw():
        settings = (
            f"max-links-per-node: {field.hnsw.links}",
            f"neighbors-to-explore-at-insert: {field.hnsw.explore_at_insert}",
        )
        parts.append(_block("hnsw", settings))
    elif field.hnsw is not None and not field.indexed:
        parts.append(_block("hnsw", []))
    return [_block("index", parts)] if parts else []


def _attribute(field: Field) -> Parts:
    parts: Parts = [*sorted(field.attribute_options)]
    if field.distance_metric != "euclidean":
        parts.append(f"distance-metric: {field.distance_metric}")
    return [_block("attribute", parts)] if parts else []


def _match(field: Field) -> Parts:
    parts: Parts = [field.match] if field.match else []
    for key, value in field.match_settings.items():
        if key == "case":
            parts.append(value)
        else:
            parts.append(f"{key}: {_quoted(value) if key == 'exact-terminator' else value}")
    return [_block("match", parts)] if parts else []


def _quoted(text: str) -> str:
    return f'"{text}"'


def _onnx_model(model: OnnxModel) -> Lines:
    parts: Parts = [f"file: {model.file}"]
    parts += [f"input {_port(name)}: {source}" for name, source in model.inputs.items()]
    parts += [f"output {_port(name)}: {alias}" for name, alias in model.outputs.items()]
    if model.threads is not None:
        parts.append(f"intraop-threads: {model.threads}")
    parts += [f"{key}: {value}" for key, value in model.options.items()]
    return _block(f"onnx-model {model.name}", parts)


def _port(name: str) -> str:
    return name if _PORT.fullmatch(name) else _quoted(name)


def _summary(summary: DocumentSummary) -> Lines:
    inherits = f" inherits {', '.join(summary.inherits)}" if summary.inherits else ""
    parts: Parts = []
    for name, source in summary.fields.items():
        parts.append(_block(f"summary {name}", [] if name == source else [f"source: {source}"]))
    parts += ["from-disk"] if summary.from_disk else []
    parts += ["omit-summary-features"] if summary.omit_summary_features else []
    return _block(f"document-summary {summary.name}{inherits}", parts)


def _outer(profile: RankProfile, schema: Schema) -> str | None:
    """The profile that this one stands in, by its name `outer.inner`."""
    outer = profile.name.rpartition(".")[0]
    return outer if outer and outer in schema.rank_profiles else None


def _profile(profile: RankProfile, schema: Schema, place_constant: Place) -> Lines:
    outer = _outer(profile, schema)
    name = profile.name[len(outer) + 1 :] if outer else profile.name
    parents = [p for p in profile.inherits if p != outer]
    head = f"rank-profile {name}" + (f" inherits {', '.join(parents)}" if parents else "")
    parts: Parts = ["strict: true"] if profile.strict else []
    if profile.inputs:
        parts.append(_block("inputs", map(_input, profile.inputs.values())))
    if profile.constants:
        constants = profile.constants.values()
        lines = [_constant(c, place_constant(profile.name, c) if c.file else None)
                 for c in constants]  # fmt: skip
        parts.append(_block("constants", lines))
    parts += [_onnx_model(model) for model in profile.onnx_models.values()]
    parts += [_function(function) for function in profile.functions.values()]
    parts += _phases(profile)
    features = (
        ("match-features", profile.match_features, profile.match_features_inherits),
        ("summary-features", profile.summary_features, profile.summary_features_inherits),
    )
    for key, listed, inherited in features:
        if listed is not None or inherited:
            head_ = f"{key} inherits {inherited}" if inherited else key
            parts.append(_block(head_, [f.text for f in listed or ()]))
    parts += _settings(profile)
    inner = [p for p in schema.rank_profiles.values() if _outer(p, schema) == profile.name]
    parts += [_profile(p, schema, place_constant) for p in inner]
    return _block(head, parts)


def _input(declared: Input) -> str:
    return f"query({declared.name}) " + _typed(declared.type or "double", declared.default)


def _constant(constant: Constant, file: str | None) -> str:
    value = constant.value
    if isinstance(value, Tensor):
        return f"{constant.name} " + (
            f"{value.type}: file:{file}" if file else _typed(value.type, value)
        )
    return f"{constant.name}: {value!r}"


def _typed(type_: object, value: Tensor | float | None) -> str:
    if value is None:
        return str(type_)
    return f"{type_}: {format_literal(value) if isinstance(value, Tensor) else repr(value)}"


def _function(function: Function) -> Lines:
    inline = "inline " if function.inline else ""
    head = f"function {inline}{function.name}({', '.join(function.parameters)})"
    return _block(head, [_expression(function.expression)])


def _expression(expression: Expression) -> str | Lines:
    text = expression.text
    if not _SPECIAL.search(_GROUP.sub("", text)):
        return f"expression: {text}"
    return _block("expression", [_Raw(text)])


def _phases(profile: RankProfile) -> Parts:
    phases = {
        "first-phase": profile.first_phase,
        "second-phase": profile.second_phase,
        "global-phase": profile.global_phase,
    }
    return [_phase(key, phase) for key, phase in phases.items() if phase is not None]


def _phase(key: str, phase: Phase) -> Lines:
    count = "keep-rank-count" if key == "first-phase" else "rerank-count"
    settings: Mapping[str, float | None] = {
        count: phase.rerank_count,
        f"total-{count}": phase.total_rerank_count,
        "rank-score-drop-limit": phase.score_drop_limit,
    }
    parts: Parts = [f"{name}: {value}" for name, value in settings.items() if value is not None]
    return _block(key, parts + ([_expression(phase.expression)] if phase.expression else []))


def _settings(profile: RankProfile) -> Parts:
    parts: Parts = []
    if profile.rank_properties:
        lines = [f"{_key(k)}: {_quoted(v)}" for k, v in profile.rank_properties.items()]
        parts.append(_block("rank-properties", lines))
    for key, value in profile.settings.items():
        if key in SETTINGS:
            parts.append(f"{key}: {value}")
        else:
            parts.append(_block(key, value.split()) if value else key)
    return parts


def _key(name: str) -> str:
    return name if _KEY.fullmatch(name) else _quoted(name)
