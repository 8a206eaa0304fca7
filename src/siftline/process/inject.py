"""What a component's constructor is given, by the types of its parameters."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from siftline.encode.embedder import Embedder
from siftline.encode.embedders import Embedders
from siftline.errors import PackageError, Place
from siftline.process.values import read_config
from siftline.schema.chains import ConfigValue
from siftline.schema.package import Package
from siftline.stateless.models import ModelsEvaluator


@dataclass(frozen=True, slots=True)
class Provided:
    """What can be given: the package, its embedders by id, its models by name."""

    package: Package
    embedders: Embedders
    models: ModelsEvaluator

    def __str__(self) -> str:
        there = ["Package", "Embedders", "a dataclass for <config>"]
        there += [f"Embedder {name}" for name in self.embedders]
        if self.package.services.model_evaluation:
            there.append("ModelsEvaluator")
        return f"there is: {', '.join(there)}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One parameter of a component's constructor."""

    component: str
    parameter: inspect.Parameter
    hint: Any
    config: Mapping[str, ConfigValue]
    place: Place | None

    def fail(self, message: str) -> PackageError:
        """The error that names component and parameter."""
        return PackageError(
            f"component '{self.component}', parameter '{self.parameter.name}': {message}",
            self.place,
        )


def arguments(
    kind: type[Any],
    component: str,
    config: Mapping[str, ConfigValue],
    provided: Provided,
    place: Place | None = None,
) -> dict[str, Any]:
    """Keyword arguments for the constructor of `kind`.

    By type: `ModelsEvaluator`; `Embedder`, the one whose id is the parameter's name (or stands in
    `Annotated[Embedder, "id"]`), or the only one; `Embedders`, all by id; `Package`; a dataclass,
    filled from the component's `<config>`. A parameter with a default may go without. PackageError
    names the component, the parameter and what there is.
    """
    plain = kind.__init__ is object.__init__
    hints = {} if plain else get_type_hints(kind.__init__, include_extras=True)
    parameters = {} if plain else inspect.signature(kind).parameters
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        wanted = Wanted(component, parameter, hints.get(name), config, place)
        try:
            found[name] = _argument(wanted, provided)
        except PackageError:
            if parameter.default is parameter.empty or dataclasses.is_dataclass(wanted.hint):
                raise
    for name in config:
        if not any(dataclasses.is_dataclass(value) for value in found.values()):
            raise PackageError(
                f"component '{component}' has <config name=\"{name}\">, but no parameter that is "
                "a dataclass",
                place,
            )
    return found


def _argument(wanted: Wanted, provided: Provided) -> Any:
    hint, marks = wanted.hint, ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    if hint is None:
        raise wanted.fail(f"it has no type, so nothing can be given; {provided}")
    if hint is Embedder:
        return _embedder(wanted, marks, provided)
    if hint is Embedders or (get_origin(hint) is not None and get_args(hint)[-1:] == (Embedder,)):
        return provided.embedders
    if hint is Package:
        return provided.package
    if hint is ModelsEvaluator:
        if not provided.package.services.model_evaluation:
            raise wanted.fail("services.xml has no <model-evaluation/>, so there are no models")
        return provided.models
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _config(wanted, hint)
    name = getattr(hint, "__name__", str(hint))
    raise wanted.fail(f"nothing of type {name} can be given; {provided}")


def _embedder(wanted: Wanted, marks: tuple[Any, ...], provided: Provided) -> Embedder:
    named = [mark for mark in marks if isinstance(mark, str)]
    own = wanted.parameter.name
    for name in named or (own, own.replace("_", "-"), own.replace("_", ".")):
        if name in provided.embedders:
            return provided.embedders[name]
    if len(provided.embedders) == 1 and not named:
        return next(iter(provided.embedders.values()))
    asked = f"no embedder '{named[0] if named else own}'"
    known = ", ".join(provided.embedders) or "none"
    raise wanted.fail(f"services.xml has {asked} (its embedders: {known})")


def _config(wanted: Wanted, kind: type[Any]) -> Any:
    """The dataclass from the `<config>` named like the parameter or the class, or the only one."""
    names = {_plain(wanted.parameter.name), _plain(kind.__name__)}
    matching = [name for name in wanted.config if _plain(name.rpartition(".")[2]) in names]
    chosen = matching or list(wanted.config)
    if len(chosen) > 1:
        raise wanted.fail(
            f"no <config> is named like it or like {kind.__name__} (there is: "
            f"{', '.join(wanted.config)})"
        )
    value = wanted.config[chosen[0]] if chosen else {}
    where = f'<config name="{chosen[0]}">' if chosen else "no <config>"
    try:
        return read_config(kind, value, where)
    except PackageError as error:
        raise wanted.fail(error.message) from None


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()
