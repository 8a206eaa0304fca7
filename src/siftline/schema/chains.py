"""Chains of components written in Python, and the handlers: what services.xml says of them.

A chain is put in order as Vespa does it (spec: Vespa chained components): a component is before
everything that provides a name in its `before`, and after everything that provides one in its
`after`; it provides its own id. Where nothing is said, the order written holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from siftline.errors import PackageError, Place
from siftline.schema.nearest import nearest

#: A `<config>` element as values: text, items in order, or members by name.
ConfigValue = str | tuple["ConfigValue", ...] | Mapping[str, "ConfigValue"]

Kind = Literal["search", "document"]

#: Chains that are there without being written: those end in the engine.
BUILT_IN: Mapping[Kind, tuple[str, ...]] = {
    "search": ("vespa", "native"),
    "document": ("indexing",),
}

#: Checkpoints that every chain has, in this order.
PHASES: Mapping[Kind, tuple[str, ...]] = {
    "search": ("rawQuery", "transformedQuery", "blendedResult", "unblendedResult", "backend"),
    "document": ("indexingStart", "indexingEnd"),
}

#: Where in the package the code of components stands, a folder that Vespa ignores.
COMPONENTS = "ext/components"

#: The chain that runs where none is named.
DEFAULT = "default"

_EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class ChainedComponent:
    """A searcher or document processor: where its code is and where in the chain it stands.

    id: dotted path in `ext/components`, `module.Class` or `module.function`. config: name → values.
    shared: defined outside the chains and referred to by `idref`, one object for all of them.
    """

    id: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    config: Mapping[str, ConfigValue] = field(default_factory=dict)
    shared: bool = False
    place: Place | None = field(default=None, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What the component provides, its own id included."""
        return (self.id, *self.provides)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A `<phase>` of a chain: a name that components stand before or after."""

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    place: Place | None = field(default=None, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What stands here for others: its name."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain as written: what it inherits, what it leaves out of that, and what it adds."""

    id: str
    inherits: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    components: tuple[ChainedComponent, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    place: Place | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[ChainedComponent | Checkpoint, ...]:
        """Everything that stands in the chain itself."""
        return (*self.components, *self.checkpoints)


@dataclass(frozen=True, slots=True)
class HandlerComponent:
    """A request handler: its dotted path and the URL patterns (`http://*/path/*`) it answers."""

    id: str
    bindings: tuple[str, ...] = ()
    config: Mapping[str, ConfigValue] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ResolvedChain:
    """A chain ready to run: its components in order; `ends` is False without a built-in parent."""

    id: str
    components: tuple[ChainedComponent, ...] = ()
    ends: bool = True


def resolve_chain(chains: Mapping[str, Chain], name: str, kind: Kind) -> ResolvedChain:
    """The chain with everything inherited, in order.

    A component of the chain replaces an inherited one of the same id. PackageError, with its
    place: an unknown chain, one that inherits itself, constraints that no order fulfils.
    """
    components: dict[str, ChainedComponent] = {}
    checkpoints: dict[str, Checkpoint] = {}
    ends = False
    for part in _lineage(chains, name, kind, (), None):
        if isinstance(part, str):
            ends = True
            continue
        for excluded in part.excludes:
            if components.pop(excluded, None) is None:
                raise PackageError(
                    f"chain '{part.id}' excludes '{excluded}', which it does not inherit"
                    f"{nearest(excluded, components)}",
                    part.place,
                )
        components.update((c.id, c) for c in part.components)
        checkpoints.update((c.name, c) for c in part.checkpoints)
    ordered = order(name, tuple(components.values()), tuple(checkpoints.values()), kind)
    return ResolvedChain(name, ordered, ends)


def _lineage(
    chains: Mapping[str, Chain], name: str, kind: Kind, below: tuple[str, ...], place: Place | None
) -> Iterator[Chain | str]:
    """The chain's ancestors, oldest first, then the chain; built-in ones by name."""
    if name in below:
        raise PackageError(f"chain '{name}' inherits itself: {' -> '.join([*below, name])}", place)
    chain = chains.get(name)
    if chain is None:
        if name in BUILT_IN[kind]:
            yield name
            return
        raise PackageError(
            f"there is no {kind} chain '{name}'{nearest(name, [*chains, *BUILT_IN[kind]])}", place
        )
    for parent in chain.inherits:
        yield from _lineage(chains, parent, kind, (*below, name), chain.place)
    yield chain


def order(
    chain: str,
    components: Sequence[ChainedComponent],
    checkpoints: Sequence[Checkpoint],
    kind: Kind,
) -> tuple[ChainedComponent, ...]:
    """The components so that every constraint holds, else in the order given.

    `before` `*` is before all that does not say so too, `after` `*` likewise behind. PackageError
    names the components that wait for each other.
    """
    phases = [
        Checkpoint(name, after=PHASES[kind][:number][-1:])
        for number, name in enumerate(PHASES[kind])
    ]
    nodes: list[ChainedComponent | Checkpoint] = [*phases, *checkpoints, *components]
    waits = _waits(nodes)
    left = set(range(len(nodes)))
    done: list[ChainedComponent] = []
    while left:
        ready = [i for i in left if not waits[i] & left]
        if not ready:
            raise _no_order(chain, nodes, waits, left)
        chosen = min(ready, key=lambda i: (_rank(nodes[i]), i))
        left.remove(chosen)
        node = nodes[chosen]
        if isinstance(node, ChainedComponent):
            done.append(node)
    return tuple(done)


def _waits(nodes: Sequence[ChainedComponent | Checkpoint]) -> list[set[int]]:
    """For each node the nodes that must come before it."""
    providers: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for name in node.names:
            providers.setdefault(name, []).append(number)
    waits: list[set[int]] = [set() for _ in nodes]
    for number, node in enumerate(nodes):
        for name in node.after:
            waits[number].update(i for i in providers.get(name, ()) if i != number)
        for name in node.before:
            for i in providers.get(name, ()):
                if i != number:
                    waits[i].add(number)
    return waits


def _rank(node: ChainedComponent | Checkpoint) -> int:
    return (_EVERYTHING in node.after) - (_EVERYTHING in node.before)


def _no_order(
    chain: str,
    nodes: Sequence[ChainedComponent | Checkpoint],
    waits: Sequence[set[int]],
    left: Collection[int],
) -> PackageError:
    """The error that shows one circle of nodes waiting for each other."""
    path = [min(left)]
    while True:
        following = min(waits[path[-1]] & set(left))
        if following in path:
            circle = path[path.index(following) :]
            break
        path.append(following)
    names = [nodes[i].names[0] for i in reversed(circle)]
    places = [place for i in circle if (place := nodes[i].place) is not None]
    return PackageError(
        f"chain '{chain}' has no order: {' before '.join([*names, names[0]])}",
        min(places, key=lambda place: place.line or 0) if places else None,
    )


def check_chains(chains: Mapping[str, Chain], kind: Kind) -> None:
    """PackageError for a chain that cannot be resolved or a name that nothing provides."""
    known = {_EVERYTHING, *PHASES[kind]}
    known.update(n for chain in chains.values() for part in chain.parts for n in part.names)
    for name, chain in chains.items():
        for part in chain.parts:
            _check_names(part, name, kind, known)
        resolve_chain(chains, name, kind)


def _check_names(
    part: ChainedComponent | Checkpoint, chain: str, kind: Kind, known: Collection[str]
) -> None:
    where = f"'{part.names[0]}' of chain '{chain}' stands"
    for wanted in (*part.before, *part.after):
        if wanted not in known:
            raise PackageError(
                f"{where} before or after '{wanted}', which nothing provides"
                f"{nearest(wanted, sorted(set(known) - {_EVERYTHING}))}",
                part.place,
            )
    late = [wanted for wanted in part.after if kind == "document" and wanted in PHASES[kind]]
    if late:
        raise PackageError(
            f"{where} after '{late[0]}', but indexing scripts run behind the whole chain",
            part.place,
        )
