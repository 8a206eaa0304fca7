"""Packages with Python components, written for one test."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

SCHEMA = """
schema note {
  document note {
    field title type string { indexing: index | summary }
    field text type string { indexing: index | summary }
    field rank type int { indexing: attribute | summary }
    field vector type tensor<float>(x[2]) { indexing: attribute | summary }
  }
  fieldset default { fields: title, text }
  document-summary vectors { summary vector {} summary rank {} }
  rank-profile default {
    inputs { query(v) tensor<float>(x[2]) }
    first-phase { expression: attribute(rank) }
  }
  rank-profile near inherits default {
    first-phase { expression: sum(query(v) * attribute(vector)) }
  }
}
"""

SERVICES = """<services>
<container id="default">
{}
</container>
<content id="notes"><documents><document type="note"/>{}</documents></content>
</services>
"""

NOTES = [
    {"_id": "a", "title": "first", "text": "sun and sea", "rank": 1, "vector": [1, 0]},
    {"_id": "b", "title": "second", "text": "sun and snow", "rank": 2, "vector": [0, 1]},
    {"_id": "c", "title": "third", "text": "moon", "rank": 3, "vector": [1, 1]},
]


def write(folder: Path, container: str, documents: str = "", **modules: str) -> Path:
    """The package with these elements in its container and these files in `ext/components`."""
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    (folder / "schemas" / "note.sd").write_text(SCHEMA)
    (folder / "services.xml").write_text(SERVICES.format(container, documents))
    components = folder / "ext" / "components"
    components.mkdir(parents=True, exist_ok=True)
    for name, code in modules.items():
        file = components.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(code))
    return folder


def search_chain(*searchers: str, chain: str = "default") -> str:
    """A `<search>` with one chain of these searchers."""
    elements = "".join(f'<searcher id="{searcher}"/>' for searcher in searchers)
    return f'<search><chain id="{chain}" inherits="vespa">{elements}</chain></search>'


def document_chain(*processors: str) -> str:
    """A `<document-processing>` whose chain `default` has these processors."""
    elements = "".join(f'<documentprocessor id="{processor}"/>' for processor in processors)
    return f'<document-processing><chain id="default">{elements}</chain></document-processing>'
