"""Reads `rank-profile … { … }` and `onnx-model … { … }` of a schema file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from siftline.errors import PackageError
from siftline.schema.declarations import read_constants, read_inputs
from siftline.schema.definition import Expression, Function, OnnxModel, Phase, RankProfile
from siftline.schema.elements import Element, clean, dispatch
from siftline.schema.files import PackageFiles
from siftline.schema.places import Places
from siftline.schema.read_field import choice, whole_number

#: settings of a profile that change how work is done, not which result comes; kept as written
SETTINGS = (
    "num-threads-per-search",
    "min-hits-per-thread",
    "num-search-partitions",
    "termwise-limit",
    "approximate-threshold",
    "post-filter-threshold",
    "target-hits-max-adjustment-factor",
    "filter-first-threshold",
    "filter-first-exploration",
    "exploration-slack",
)
ONNX_OPTIONS = ("interop-threads", "execution-mode", "gpu-device")

_HEAD = re.compile(r"(?:rank-profile|model)\s+([\w.-]+)(?:\s+inherits\s+(.+))?")
_FUNCTION = re.compile(r"(?:function|macro)\s+(inline\s+)?([\w.$]+)\s*\(([^)]*)\)")
_INHERITED = re.compile(r"(?:match|summary)-features(?:\s+inherits\s+([\w.-]+))?")
_FEATURE = re.compile(
    r"(?:[^\s,(\"]|\((?:[^()\"]|\"[^\"]*\"|\((?:[^()]|\([^()]*\))*\))*\)|\"[^\"]*\")+"
)


def read_profiles(element: Element, files: PackageFiles, outer: str = "") -> Iterator[RankProfile]:
    """The profile of a `rank-profile` element, then the inner profiles named `outer.inner`."""
    found = _HEAD.fullmatch(element.head)
    if not found:
        element.fail(
            f"'{element.head}' is not a rank profile (expected 'rank-profile name inherits a, b')"
        )
    inherits = tuple(name.strip() for name in (found[2] or "").split(",") if name.strip())
    name = f"{outer}.{found[1]}" if outer else found[1]
    body = _ProfileBody(name, files)
    body.read(element)
    parents = (outer, *(p for p in inherits if p != outer)) if outer else inherits
    yield RankProfile(name, parents, place=element.place, **body.values)
    for inner in body.inner:
        yield from read_profiles(inner, files, name)


def read_expression(element: Element, files: PackageFiles) -> Expression:
    """The expression of an `expression` element; `file:name` is read."""
    text = element.text
    if text.startswith("file:"):
        name = text.removeprefix("file:").strip()
        return Expression(clean(files.expression(name, element.place)).strip(), element.place)
    return Expression(text, element.value_place)


def read_function(element: Element, files: PackageFiles) -> Function:
    """The function of an element `function NAME(a, b) { expression: … }`."""
    found = _FUNCTION.fullmatch(element.head)
    if not found:
        element.fail(f"'{element.head}' is not a function (expected 'function name(a, b)')")
    expressions = [e for e in element.body if e.key == "expression"]
    dispatch(element.body, {"expression": lambda _: None}, f"function '{found[2]}'")
    if len(expressions) != 1:
        element.fail(f"function '{found[2]}' needs one 'expression: …'")
    parameters = tuple(p.strip() for p in found[3].split(",") if p.strip())
    return Function(found[2], parameters, read_expression(expressions[0], files), bool(found[1]))


def read_onnx_model(element: Element) -> OnnxModel:
    """The model of an element `onnx-model NAME { file: … input x: y … }`."""
    file: list[str] = []
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    options: dict[str, str] = {}
    threads: list[int] = []

    def port(into: dict[str, str]) -> Any:
        def read(part: Element) -> None:
            name = part.rest.strip('"')
            if not name or name in into:
                part.fail(f"'{part.head}' needs the name of a port, each once")
            into[name] = part.text

        return read

    handlers: dict[str, Any] = {
        "file": lambda part: file.append(_path(part)),
        "input": port(inputs),
        "output": port(outputs),
        "intraop-threads": lambda part: threads.append(whole_number(part, -1024)),
        **dict.fromkeys(ONNX_OPTIONS, lambda part: options.update({part.key: part.text})),
    }
    if not element.rest:
        element.fail("an onnx-model needs a name")
    dispatch(element.body, handlers, f"onnx-model '{element.rest}'")
    if len(file) != 1:
        element.fail(f"onnx-model '{element.rest}' needs one 'file: models/name.onnx'")
    return OnnxModel(
        element.rest,
        file[0],
        inputs,
        outputs,
        threads[0] if threads else None,
        options,
        element.place,
    )


class _ProfileBody:
    """Collects the arguments of one RankProfile from the elements of its body."""

    def __init__(self, name: str, files: PackageFiles) -> None:
        self.name, self.files = name, files
        self.values: dict[str, Any] = {}
        self.inner: list[Element] = []

    def read(self, element: Element) -> None:
        """Take every element of the body."""
        handlers: dict[str, Any] = {
            "inputs": self._inputs,
            "constants": self._constants,
            "function": self._function,
            "macro": self._function,
            "onnx-model": self._onnx_model,
            "first-phase": self._phase,
            "second-phase": self._phase,
            "global-phase": self._phase,
            "match-features": self._features,
            "summary-features": self._features,
            "rank-features": self._rank_features,
            "ignore-default-rank-features": self._flag,
            "rank-properties": self._rank_properties,
            "strict": self._strict,
            "rank-profile": self.inner.append,
            **dict.fromkeys(SETTINGS, self._setting),
        }
        dispatch(element.body, handlers, f"rank profile '{self.name}'")

    def _into(self, key: str) -> dict[str, Any]:
        into: dict[str, Any] = self.values.setdefault(key, {})
        return into

    def _add(self, key: str, name: str, value: object, element: Element) -> None:
        into = self._into(key)
        if name in into:
            element.fail(f"{element.key} '{name}' is given twice in rank profile '{self.name}'")
        into[name] = value

    def _inputs(self, element: Element) -> None:
        for name, value in read_inputs(element).items():
            self._add("inputs", name, value, element)

    def _constants(self, element: Element) -> None:
        for name, value in read_constants(element, self.files).items():
            self._add("constants", name, value, element)

    def _function(self, element: Element) -> None:
        function = read_function(element, self.files)
        self._add("functions", function.name, function, element)

    def _onnx_model(self, element: Element) -> None:
        model = read_onnx_model(element)
        self._add("onnx_models", model.name, model, element)

    def _phase(self, element: Element) -> None:
        values: dict[str, Any] = {}
        first = element.key == "first-phase"

        def put(key: str, value: object, part: Element) -> None:
            if key in values:
                part.fail(f"'{part.key}' is given twice in {element.key}")
            values[key] = value

        count = "keep-rank-count" if first else "rerank-count"
        handlers: dict[str, Any] = {
            "expression": lambda p: put("expression", read_expression(p, self.files), p),
            count: lambda p: put("rerank_count", whole_number(p), p),
            f"total-{count}": lambda p: put("total_rerank_count", whole_number(p), p),
            "rank-score-drop-limit": lambda p: put("score_drop_limit", _number(p), p),
        }
        dispatch(element.body, handlers, f"{element.key} of rank profile '{self.name}'")
        key = element.key.replace("-", "_")
        if key in self.values:
            element.fail(f"{element.key} is given twice in rank profile '{self.name}'")
        self.values[key] = Phase(**values)

    def _features(self, element: Element) -> None:
        key = element.key.replace("-", "_")
        found = _INHERITED.fullmatch(element.head)
        if not found or element.value is None:
            element.fail(f"'{element.head}' is not a list of features")
        if found[1]:
            self.values[f"{key}_inherits"] = found[1]
        self.values[key] = (*self.values.get(key, ()), *split_features(element))

    def _rank_features(self, element: Element) -> None:
        """Only a request that lists all features sees them, so they change no result."""
        names = [e.text for e in split_features(element)]
        self._into("settings")[element.key] = " ".join(names)

    def _flag(self, element: Element) -> None:
        self._into("settings")[element.key] = ""

    def _setting(self, element: Element) -> None:
        _number(element)
        self._into("settings")[element.key] = element.text

    def _rank_properties(self, element: Element) -> None:
        for part in element.body:
            if part.value is None:
                part.fail(f"rank property '{part.head}' needs a value")
            self._add("rank_properties", _unquoted(part.head), _unquoted(part.text), part)

    def _strict(self, element: Element) -> None:
        self.values["strict"] = choice(element, ("true", "false")) == "true"


def split_features(element: Element) -> tuple[Expression, ...]:
    """The features of a list, split at blanks outside parentheses."""
    text = element.value or ""
    places = Places(text, element.place.file, element.value_place)
    return tuple(Expression(f[0], places.at(f.start())) for f in _FEATURE.finditer(text))


def _path(element: Element) -> str:
    if re.search(r"[\s\"']", element.text):
        element.fail(f"'{element.text}' is not a path in the package (expected models/name.onnx)")
    return element.text


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _number(element: Element) -> float:
    try:
        return float(element.text)
    except ValueError:
        raise PackageError(
            f"'{element.head}' is '{element.text}', expected a number", element.value_place
        ) from None
