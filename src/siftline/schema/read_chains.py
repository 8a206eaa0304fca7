"""Reads the chains and handlers of services.xml (spec: Vespa services, search and docproc)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from siftline.errors import PackageError
from siftline.schema.chains import (
    BUILT_IN,
    DEFAULT,
    Chain,
    ChainedComponent,
    Checkpoint,
    ConfigValue,
    HandlerComponent,
    Kind,
    check_chains,
    resolve_chain,
)
from siftline.schema.nearest import nearest
from siftline.schema.xml_tree import XmlElement

#: kind → the element around the chains, and the element of one component
ELEMENTS: Mapping[Kind, tuple[str, str]] = {
    "search": ("search", "searcher"),
    "document": ("document-processing", "documentprocessor"),
}

#: what stands beside the chains and says nothing to one machine
_BESIDE: Mapping[Kind, tuple[str, ...]] = {
    "search": ("binding", "threadpool", "significance", "config", "include"),
    "document": ("threadpool", "config", "include"),
}
_CHAIN = ("phase",)
_CONSTRAINTS = ("before", "after", "provides")

#: scheme, host, port and path of a handler's URL pattern; `*` stands for any text in each
BINDING = re.compile(
    r"(?P<scheme>[a-z*][a-z0-9+.*-]*)://(?P<host>[^/:\s]+)(:(?P<port>[0-9]{1,5}|\*))?"
    r"(?P<path>/\S*)?"
)
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def read_chains(containers: Sequence[XmlElement], kind: Kind) -> dict[str, Chain]:
    """The chains of one kind by id, checked; PackageError with its place where one is wrong."""
    group, tag = ELEMENTS[kind]
    chains: dict[str, Chain] = {}
    for container in containers:
        for element in (c for c in container.children if c.tag == group):
            _read_group(element, kind, tag, chains)
    check_chains(chains, kind)
    return chains


def _read_group(element: XmlElement, kind: Kind, tag: str, chains: dict[str, Chain]) -> None:
    shared: dict[str, ChainedComponent] = {}
    for child in element.children:
        known = (tag, "chain", *_BESIDE[kind])
        if child.tag not in known:
            _unknown(child, element.tag, known)
        if child.tag == tag:
            component = _component(child, shared=True)
            if component.id in shared:
                child.fail(f"<{tag}> '{component.id}' is defined twice")
            shared[component.id] = component
    used: set[str] = set()
    for child in element.children:
        if child.tag != "chain":
            continue
        chain = _chain(child, tag, shared, used)
        if chain.id in chains:
            child.fail(f"chain '{chain.id}' is defined twice (first at {chains[chain.id].place})")
        if chain.id in BUILT_IN[kind]:
            child.fail(f"chain '{chain.id}' is a built-in one; give yours another id")
        chains[chain.id] = chain
    for name, component in shared.items():
        if name not in used:
            raise PackageError(
                f"<{tag}> '{name}' is in no chain; add <{tag} idref=\"{name}\"/> to one",
                component.place,
            )


def _unknown(element: XmlElement, where: str, known: Sequence[str]) -> None:
    element.fail(f"unknown element <{element.tag}> in <{where}>{nearest(element.tag, known)}")


def _chain(
    element: XmlElement, tag: str, shared: Mapping[str, ChainedComponent], used: set[str]
) -> Chain:
    _check_attributes(element, ("id", "inherits", "excludes", "version"))
    components: dict[str, ChainedComponent] = {}
    checkpoints: list[Checkpoint] = []
    for child in element.children:
        if child.tag == "phase":
            constraints = _constraints(child, ("before", "after"))
            checkpoints.append(
                Checkpoint(
                    child.attribute("id"), constraints["before"], constraints["after"], child.place
                )
            )
            continue
        if child.tag != tag:
            if child.tag not in _CHAIN:
                _unknown(child, "chain", (tag, *_CHAIN))
            continue
        component = _member(child, tag, shared, used)
        if component.id in components:
            child.fail(f"<{tag}> '{component.id}' is in chain '{element.attributes['id']}' twice")
        components[component.id] = component
    return Chain(
        element.attribute("id"),
        tuple(element.attributes.get("inherits", "").split()),
        tuple(element.attributes.get("excludes", "").split()),
        tuple(components.values()),
        tuple(checkpoints),
        element.place,
    )


def _member(
    element: XmlElement, tag: str, shared: Mapping[str, ChainedComponent], used: set[str]
) -> ChainedComponent:
    name = element.attributes.get("idref")
    if name is None:
        return _component(element, shared=False)
    if name not in shared:
        element.fail(f"there is no <{tag}> '{name}' outside the chains{nearest(name, shared)}")
    if element.children:
        element.fail(f"<{tag} idref> says nothing itself; write it where '{name}' is defined")
    used.add(name)
    return shared[name]


def _component(element: XmlElement, *, shared: bool) -> ChainedComponent:
    _check_attributes(element, ("id", "before", "after", "provides"))
    constraints = _constraints(element, _CONSTRAINTS)
    return ChainedComponent(
        component_path(element), **constraints, config=_configs(element, _CONSTRAINTS),
        shared=shared, place=element.place,
    )  # fmt: skip


def component_path(element: XmlElement) -> str:
    """The dotted path that an element's id is; a place in `ext/components`."""
    id_ = element.attribute("id")
    if not _PATH.fullmatch(id_):
        element.fail(
            f"<{element.tag}> '{id_}' names no Python component (expected 'module.Class' or "
            "'module.function' of a file in ext/components)"
        )
    return id_


def _check_attributes(element: XmlElement, known: Sequence[str]) -> None:
    for name in element.attributes:
        if name not in known and ":" not in name:
            element.fail(f"unknown attribute '{name}' of <{element.tag}>{nearest(name, known)}")


def _constraints(element: XmlElement, known: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Names before, after and provided: as attributes or as child elements."""
    found: dict[str, list[str]] = {name: element.attributes.get(name, "").split() for name in known}
    for child in element.children:
        if child.tag in found:
            found[child.tag] += child.text.split()
    return {name: tuple(names) for name, names in found.items()}


def _configs(element: XmlElement, beside: Sequence[str]) -> dict[str, ConfigValue]:
    configs: dict[str, ConfigValue] = {}
    for child in element.children:
        if child.tag == "config":
            name = child.attribute("name")
            if name in configs:
                child.fail(f'<config name="{name}"> stands twice in <{element.tag}>')
            configs[name] = config_value(child)
        elif child.tag not in beside:
            _unknown(child, element.tag, (*beside, "config"))
    return configs


def config_value(element: XmlElement) -> ConfigValue:
    """Text, `<item>` elements in order, or members by name: of the tag, or an item's `key`."""
    if element.tag == "config" and element.text:
        element.fail("a <config> holds elements, not text")
    if not element.children:
        return {} if element.tag == "config" else element.text
    items = [child for child in element.children if child.tag == "item"]
    if len(items) == len(element.children) and not any("key" in c.attributes for c in items):
        return tuple(config_value(child) for child in items)
    members: dict[str, ConfigValue] = {}
    for child in element.children:
        name = child.attribute("key") if child.tag == "item" else child.tag
        if name in members:
            child.fail(f"'{name}' stands twice in <{element.tag}>")
        members[name] = config_value(child)
    return members


def read_handlers(containers: Sequence[XmlElement]) -> dict[str, HandlerComponent]:
    """The request handlers by id."""
    handlers: dict[str, HandlerComponent] = {}
    bound: dict[str, str] = {}
    for container in containers:
        for element in (c for c in container.children if c.tag == "handler"):
            _check_attributes(element, ("id",))
            id_ = component_path(element)
            if id_ in handlers:
                element.fail(f"handler '{id_}' is defined twice (first at {handlers[id_].place})")
            bindings = tuple(_binding(c, bound) for c in element.children if c.tag == "binding")
            if not bindings:
                element.fail(f"handler '{id_}' has no <binding>http://*/path/*</binding>")
            bound.update(dict.fromkeys(bindings, id_))
            config = _configs(element, ("binding", "threadpool"))
            handlers[id_] = HandlerComponent(id_, bindings, config, element.place)
    return handlers


def _binding(element: XmlElement, bound: Mapping[str, str]) -> str:
    if not BINDING.fullmatch(element.text):
        element.fail(f"'{element.text}' is no binding (expected http://*/path, * for any text)")
    if element.text in bound:
        element.fail(f"'{element.text}' is bound to handler '{bound[element.text]}' already")
    return element.text


def read_document_chain(content: XmlElement | None, chains: Mapping[str, Chain]) -> str | None:
    """The chain that `<documents><document-processing chain>` adds, None where it adds none."""
    documents = content.find("documents") if content else None
    element = documents.find("document-processing") if documents else None
    name = element.attributes.get("chain") if element else None
    if element is None or name is None or name in BUILT_IN["document"]:
        return None
    if name not in chains:
        element.fail(f"there is no document chain '{name}'{nearest(name, chains)}")
    if name == DEFAULT:
        element.fail("chain 'default' runs anyway and would run twice; name another or none")
    if not resolve_chain(chains, name, "document").ends:
        element.fail(f"chain '{name}' must inherit from 'indexing'")
    return name
