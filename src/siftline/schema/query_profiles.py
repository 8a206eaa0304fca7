"""Reads query profiles (`search/query-profiles/NAME.xml`): named request parameters (spec 3.9)."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from siftline.errors import PackageError, UsageError
from siftline.schema.nearest import nearest
from siftline.schema.package import QueryProfile
from siftline.schema.xml_tree import XmlElement, parse_xml


def parse_query_profile(text: str, file: str | None = None) -> QueryProfile:
    """The query profile written in `text`; PackageError with its place where it is wrong."""
    root = parse_xml(text, file)
    if root.tag == "query-profile-type":
        root.fail("query profile types are not supported; declare inputs in the rank profile")
    if root.tag != "query-profile":
        root.fail(f'<{root.tag}> is not a query profile (expected <query-profile id="…">)')
    for attribute in root.attributes:
        if attribute not in ("id", "inherits", "type"):
            near = nearest(attribute, ("id", "inherits", "type"))
            root.fail(f"attribute '{attribute}' of <query-profile> is not supported{near}")
    if root.attributes.get("type", "root") not in ("root", "native"):
        root.fail(f"query profile type '{root.attributes['type']}' is not supported; remove it")
    fields: dict[str, str] = {}
    fixed: set[str] = set()
    for child in root.children:
        _field(child, fields, fixed)
    return QueryProfile(
        root.attribute("id"),
        tuple(root.attributes.get("inherits", "").split()),
        fields,
        frozenset(fixed),
        root.place,
    )


def check_query_profile_type(text: str, file: str | None = None) -> None:
    """PackageError if the type in `text` declares anything; an empty one means nothing."""
    root = parse_xml(text, file)
    for child in root.children:
        if child.tag not in ("match", "strict"):
            name = child.attributes.get("name", child.tag)
            child.fail(
                f"'{name}' of a query profile type is not supported; declare inputs in the rank "
                "profile and delete it here"
            )


def _field(element: XmlElement, fields: dict[str, str], fixed: set[str]) -> None:
    if element.tag in ("dimensions", "query-profile", "description"):
        if element.tag == "description":
            return
        element.fail("variants of a query profile are not supported; write one file for each")
    if element.tag != "field":
        element.fail(
            f"unknown element <{element.tag}> in <query-profile>{nearest(element.tag, ('field',))}"
        )
    name = element.attribute("name")
    if element.find("ref") is not None:
        element.fail(
            f"field '{name}' refers to another query profile, which is not supported; "
            'use inherits="…"'
        )
    if name in fields:
        element.fail(f"field '{name}' is given twice")
    fields[name] = element.text
    overridable = element.attributes.get("overridable", "true")
    if overridable not in ("true", "false"):
        element.fail(f"overridable of '{name}' is '{overridable}', expected true or false")
    if overridable == "false":
        fixed.add(name)


def format_query_profile(profile: QueryProfile) -> str:
    """The query profile as XML that `parse_query_profile` reads back equal."""
    inherits = f" inherits={quoteattr(' '.join(profile.inherits))}" if profile.inherits else ""
    lines = [f"<query-profile id={quoteattr(profile.name)}{inherits}>"]
    for name, text in profile.fields.items():
        fixed = ' overridable="false"' if name in profile.fixed else ""
        lines.append(f"  <field name={quoteattr(name)}{fixed}>{escape(text)}</field>")
    return "\n".join([*lines, "</query-profile>", ""])


def resolve_query_profile(
    profiles: Mapping[str, QueryProfile], name: str, seen: tuple[str, ...] = ()
) -> QueryProfile:
    """The query profile with everything inherited filled in; of several parents the first wins.

    UsageError for an unknown name, PackageError for an unknown parent or a circle.
    """
    if name not in profiles:
        raise UsageError(f"there is no query profile '{name}'{nearest(name, profiles)}")
    own = profiles[name]
    if name in seen:
        raise PackageError(
            f"query profiles inherit in a circle: {' → '.join([*seen, name])}", own.place
        )
    fields: dict[str, str] = {}
    fixed: set[str] = set()
    for parent in reversed(own.inherits):
        if parent not in profiles:
            raise PackageError(
                f"query profile '{name}' inherits '{parent}', which does not exist"
                f"{nearest(parent, profiles)}",
                own.place,
            )
        resolved = resolve_query_profile(profiles, parent, (*seen, name))
        fields.update(resolved.fields)
        fixed.update(resolved.fixed)
    fields.update(own.fields)
    return QueryProfile(name, (), fields, frozenset(fixed | own.fixed), own.place)
