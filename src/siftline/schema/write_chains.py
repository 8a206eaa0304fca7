"""Chains and handlers as elements of services.xml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as ET

from siftline.schema.chains import Chain, ChainedComponent, ConfigValue, HandlerComponent

_TAG = re.compile(r"[A-Za-z_][\w.-]*")


def write_chains(parent: ET.Element, tag: str, chains: Mapping[str, Chain]) -> None:
    """Add shared components and chains to `parent`; `tag` is the element of one component."""
    written: set[str] = set()
    for component in _components(chains):
        if component.shared and component.id not in written:
            written.add(component.id)
            _write_component(parent, tag, component)
    for chain in chains.values():
        element = ET.SubElement(parent, "chain", id=chain.id)
        for name, values in (("inherits", chain.inherits), ("excludes", chain.excludes)):
            if values:
                element.set(name, " ".join(values))
        for checkpoint in chain.checkpoints:
            phase = ET.SubElement(element, "phase", id=checkpoint.name)
            _write_names(phase, before=checkpoint.before, after=checkpoint.after)
        for component in chain.components:
            if component.shared:
                ET.SubElement(element, tag, idref=component.id)
            else:
                _write_component(element, tag, component)


def _components(chains: Mapping[str, Chain]) -> Iterator[ChainedComponent]:
    for chain in chains.values():
        yield from chain.components


def _write_component(parent: ET.Element, tag: str, component: ChainedComponent) -> None:
    element = ET.SubElement(parent, tag, id=component.id)
    _write_names(
        element, before=component.before, after=component.after, provides=component.provides
    )
    _write_configs(element, component.config)


def _write_names(element: ET.Element, **names: tuple[str, ...]) -> None:
    for tag, values in names.items():
        for value in values:
            ET.SubElement(element, tag).text = value


def _write_configs(element: ET.Element, configs: Mapping[str, ConfigValue]) -> None:
    for name, value in configs.items():
        _write_config(ET.SubElement(element, "config", name=name), value)


def _write_config(element: ET.Element, value: ConfigValue) -> None:
    if isinstance(value, str):
        element.text = value
    elif isinstance(value, tuple):
        for item in value:
            _write_config(ET.SubElement(element, "item"), item)
    else:
        for name, member in value.items():
            plain = _TAG.fullmatch(name) and name != "item"
            child = ET.SubElement(element, name if plain else "item")
            if not plain:
                child.set("key", name)
            _write_config(child, member)


def write_handlers(parent: ET.Element, handlers: Mapping[str, HandlerComponent]) -> None:
    """Add the handlers to `parent`."""
    for handler in handlers.values():
        element = ET.SubElement(parent, "handler", id=handler.id)
        for binding in handler.bindings:
            ET.SubElement(element, "binding").text = binding
        _write_configs(element, handler.config)
