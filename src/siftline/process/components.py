"""Makes the objects behind the components that services.xml names."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from siftline.errors import PackageError, Place, SiftlineError
from siftline.process.faults import described, place_of
from siftline.process.inject import Provided, arguments
from siftline.process.modules import ComponentModules
from siftline.schema.chains import COMPONENTS, ConfigValue
from siftline.schema.nearest import nearest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a component is to be: its base class, the method that is called, what it is called with.

    method: of a class; a plain function stands for it. parameters: names, for messages.
    """

    base: type[Any]
    method: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A component ready to be called; `target` is the object or function behind it."""

    id: str
    call: Callable[..., Any]
    target: object


class Components:
    """Imports and makes components of one package; `close` lets go of them."""

    def __init__(self, provided: Provided) -> None:
        self._provided = provided
        folder = provided.package.folder
        self._modules = ComponentModules((folder / COMPONENTS).resolve()) if folder else None
        self._made: list[Part] = []

    def make(
        self, id_: str, kind: Kind, config: Mapping[str, ConfigValue], place: Place | None
    ) -> Part:
        """The component of that dotted path.

        PackageError: there is no such file or name in it, it cannot be imported, it is not of the
        kind, its constructor wants what there is not or raises.
        """
        found = self._find(id_, place)
        if inspect.isclass(found):
            part = self._instance(id_, found, kind, config, place)
        elif inspect.isfunction(found):
            part = _function(id_, found, kind, config, place)
        else:
            raise PackageError(
                f"component '{id_}' is {type(found).__name__}, expected a class that is a "
                f"{kind.base.__name__}, or a function",
                place,
            )
        self._made.append(part)
        return part

    def _find(self, id_: str, place: Place | None) -> object:
        module, _, name = id_.rpartition(".")
        if self._modules is None:
            raise PackageError(
                f"component '{id_}' needs a package with files: save the package first", place
            )
        if not self._modules.has(module):
            raise PackageError(
                f"component '{id_}': there is no {COMPONENTS}/{module.replace('.', '/')}.py"
                f"{nearest(module, self._modules.names)}",
                place,
            )
        loaded = self._import(id_, module, place)
        if not hasattr(loaded, name):
            public = [n for n in vars(loaded) if not n.startswith("_")]
            raise PackageError(
                f"component '{id_}': module '{module}' has no '{name}'{nearest(name, public)}",
                place,
            )
        return getattr(loaded, name)

    def _import(self, id_: str, module: str, place: Place | None) -> ModuleType:
        modules = self._modules
        try:
            return modules.load(module)  # type: ignore[union-attr]
        # the package's own code runs here: whatever it raises says what is wrong with the package
        except (Exception, SystemExit) as error:
            raise PackageError(
                f"component '{id_}' cannot be imported: {described(error)}",
                place_of(error) or place,
            ) from error

    def _instance(
        self,
        id_: str,
        found: type[Any],
        kind: Kind,
        config: Mapping[str, ConfigValue],
        place: Place | None,
    ) -> Part:
        if not issubclass(found, kind.base):
            raise PackageError(
                f"component '{id_}' is no {kind.base.__name__}; let the class inherit from "
                f"siftline.process.{kind.base.__name__}",
                place,
            )
        try:
            made = found(**arguments(found, id_, config, self._provided, place))
        except PackageError:
            raise
        except SiftlineError as error:
            raise PackageError(f"component '{id_}' cannot be made: {error}", place) from error
        # the package's own code runs here
        except (Exception, SystemExit) as error:
            raise PackageError(
                f"component '{id_}' cannot be made: {described(error)}", place_of(error) or place
            ) from error
        return Part(id_, getattr(made, kind.method), made)

    def close(self) -> None:
        """Call `close` of every component, newest first, then forget the modules.

        One that raises is in the log; the others are closed all the same.
        """
        for part in reversed(self._made):
            close = getattr(part.target, "close", None)
            if inspect.isfunction(part.target) or not callable(close):
                continue
            try:
                close()
            # the package's own code runs here
            except (Exception, SystemExit) as error:  # noqa: BLE001
                log.error("closing component '%s': %s", part.id, described(error))
        self._made.clear()
        if self._modules is not None:
            self._modules.close()


def _function(
    id_: str,
    found: Callable[..., Any],
    kind: Kind,
    config: Mapping[str, ConfigValue],
    place: Place | None,
) -> Part:
    if config:
        raise PackageError(
            f"component '{id_}' is a function, which takes no <config>; write a class", place
        )
    try:
        inspect.signature(found).bind(*kind.parameters)
    except TypeError:
        raise PackageError(
            f"component '{id_}' must be a function of ({', '.join(kind.parameters)}), not of "
            f"{inspect.signature(found)}",
            place,
        ) from None
    return Part(id_, found, found)
