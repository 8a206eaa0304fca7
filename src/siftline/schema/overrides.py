"""Reads `validation-overrides.xml`: which dangerous changes a deployment may make, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from siftline.errors import PackageError
from siftline.schema.files import read_text
from siftline.schema.nearest import nearest
from siftline.schema.xml_tree import XmlElement, parse_xml

FILE = "validation-overrides.xml"

#: An override may be valid for this many days, as Vespa has it: it is an exception, not a setting.
LONGEST = timedelta(days=30)

#: Vespa's names of dangerous changes; those that no change here has are read all the same.
IDS = (
    "field-type-change", "tensor-type-change", "schema-removal", "content-type-removal",
    "content-cluster-removal", "indexing-change", "indexing-mode-change", "paged-setting-removal",
    "resources-reduction", "cluster-size-reduction", "deployment-removal", "redundancy-increase",
    "redundancy-one", "global-document-change", "global-endpoint-change", "zone-endpoint-change",
    "certificate-removal", "access-control", "config-model-version-mismatch",
    "skip-old-config-models", "skip-automatic-tenant-upgrade-tests", "hnsw-settings-change",
)  # fmt: skip

_SAME = {"content-type-removal": "schema-removal"}


@dataclass(frozen=True, slots=True)
class Overrides:
    """Allowed changes: name → the last day on which it is allowed."""

    until: Mapping[str, date] = field(default_factory=dict)

    def allows(self, name: str, today: date) -> bool:
        """Whether a change of that name may be made today."""
        return name in self.until and today <= self.until[name]


def read_overrides(folder: Path | None, today: date) -> Overrides:
    """The overrides of a package's folder, none without the file; PackageError with its line."""
    path = folder / FILE if folder is not None else None
    if path is None or not path.is_file():
        return Overrides()
    return parse_overrides(read_text(path), today)


def parse_overrides(text: str, today: date) -> Overrides:
    """The overrides written in `text`; PackageError for unknown names and dates too far off."""
    root = parse_xml(text, FILE)
    if root.tag != "validation-overrides":
        root.fail(f"<{root.tag}> is not the root of {FILE} (expected <validation-overrides>)")
    until: dict[str, date] = {}
    for element in root.children:
        if element.tag != "allow":
            element.fail(f"unknown element <{element.tag}>{nearest(element.tag, ('allow',))}")
        name = element.text
        if name not in IDS:
            element.fail(f"there is no override '{name}'{nearest(name, IDS)}")
        name = _SAME.get(name, name)
        until[name] = max(_day(element, today), until.get(name, date.min))
    return Overrides(until)


def _day(element: XmlElement, today: date) -> date:
    written = element.attribute("until")
    try:
        day = date.fromisoformat(written)
    except ValueError:
        raise PackageError(
            f"until='{written}' is not a date (expected like until='2026-01-31')", element.place
        ) from None
    if day - today > LONGEST:
        element.fail(
            f"allow '{element.text}' until {day} is too far in the future: "
            f"at most {LONGEST.days} days are allowed"
        )
    return day
