"""The model catalogue: what `catalogue.toml` says, checked and typed."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from siftline.errors import ModelError, UsageError

#: Raised when the ONNX files built from weights change, so that cached ones are built again.
GRAPHS = 1

ROLES = ("dense", "sparse", "late-interaction", "cross-encoder", "query-weights")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned package whose data files hold model files; `platform` where it is not `any`."""

    name: str
    version: str
    bytes: int
    platform: str | None = None

    @property
    def requirement(self) -> str:
        """As `pip download` takes it."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file: its name in the model's folder, where its source has it, and its sha256.

    path: within the hub's repository, the wheel or this package's `models/`. sha256 None: only the
    hub's etag is checked.
    """

    name: str
    path: str
    sha256: str | None = None
    wheel: Wheel | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One place that has every file of a model; `make` is the task of the ONNX built from them."""

    kind: Literal["hub", "wheel", "package"]
    format: str
    files: tuple[ModelFile, ...]
    repository: str | None = None
    revision: str | None = None
    make: str | None = None

    def __str__(self) -> str:
        if self.kind == "hub":
            return f"hub {self.repository}"
        if self.kind == "package":
            return "this package"
        wheels = {file.wheel.requirement for file in self.files if file.wheel}
        return f"wheel {' and '.join(sorted(wheels))}"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model by name.

    dimensions: of one vector; the vocabulary for a sparse model, labels for a cross-encoder.
    max_length: tokens. output: of model.onnx. logarithms: 2 where a sparse weight is
    log1p(log1p(relu(x))). query_weights: the file of an inference-free query's token weights.
    """

    name: str
    role: str
    licence: str
    dimensions: int
    max_length: int
    pooling: str
    output: str
    sources: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    normalize: bool = False
    query_prefix: str = ""
    document_prefix: str = ""
    logarithms: int = 1
    zero_special_tokens: bool = False
    query_weights: str | None = None
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that decides what the fetched folder holds."""
        sources = [asdict(source) for source in self.sources]
        content = [GRAPHS, sources, self.logarithms, self.zero_special_tokens]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class Catalogue(Mapping[str, ModelEntry]):
    """Models by name; `entry` also takes aliases and names the nearest where there is none."""

    def __init__(self, entries: Mapping[str, ModelEntry]) -> None:
        self._entries = dict(entries)
        self._names = {name.lower(): name for name in self._entries}
        for entry in self._entries.values():
            for alias in entry.aliases:
                if self._names.setdefault(alias.lower(), entry.name) != entry.name:
                    raise ModelError(f"catalogue: '{alias}' names two models")

    def __getitem__(self, name: str) -> ModelEntry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def knows(self, name: str) -> bool:
        """Whether `entry` finds that name."""
        return name.lower() in self._names

    def entry(self, name: str) -> ModelEntry:
        """The model of that name or alias, whatever the case; UsageError where there is none."""
        found = self._names.get(name.lower())
        if found is not None:
            return self._entries[found]
        near = difflib.get_close_matches(name.lower(), self._names, n=1, cutoff=0.5)
        hint = f"did you mean '{self._names[near[0]]}'?" if near else "see 'siftline models list'"
        raise UsageError(f"the catalogue has no model '{name}'; {hint}")


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that ships with the package."""
    text = resources.files("siftline.model").joinpath("catalogue.toml").read_text("utf-8")
    return parse_catalogue(text)


def read_catalogue(path: Path) -> Catalogue:
    """A catalogue file of the same form."""
    return parse_catalogue(path.read_text("utf-8"))


def parse_catalogue(text: str) -> Catalogue:
    """A catalogue from TOML; ModelError names the model and what is wrong with it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"catalogue: {error}") from None
    wheels = {name: Wheel(name=name, **values) for name, values in data.get("wheels", {}).items()}
    entries: dict[str, ModelEntry] = {}
    for values in data.get("models", []):
        name = values.get("name", "")
        try:
            entry = _entry(values, wheels)
        except (TypeError, KeyError) as error:
            raise ModelError(f"catalogue: model '{name}': {error}") from None
        if entry.name in entries:
            raise ModelError(f"catalogue: model '{name}' stands there twice")
        entries[entry.name] = entry
    return Catalogue(entries)


def _entry(values: dict[str, Any], wheels: Mapping[str, Wheel]) -> ModelEntry:
    values = dict(values)
    sources = tuple(_source(source, wheels) for source in values.pop("sources"))
    aliases = tuple(values.pop("aliases", ()))
    if values["role"] not in ROLES:
        raise TypeError(f"unknown role '{values['role']}' (known: {', '.join(ROLES)})")
    return ModelEntry(**values, sources=sources, aliases=aliases)


def _source(values: dict[str, Any], wheels: Mapping[str, Wheel]) -> Source:
    values = dict(values)
    files = tuple(_file(file, values["kind"], wheels) for file in values.pop("files"))
    return Source(**values, files=files)


def _file(values: dict[str, Any], kind: str, wheels: Mapping[str, Wheel]) -> ModelFile:
    wheel = None
    if kind == "wheel":
        wheel = wheels[values["wheel"]]
        if "sha256" not in values:
            raise TypeError(f"'{values['name']}' of a wheel needs its sha256")
    if kind == "package" and "sha256" not in values:
        raise TypeError(f"'{values['name']}' of the package needs its sha256")
    path = values.get("path", values["name"])
    return ModelFile(values["name"], path, values.get("sha256"), wheel)
