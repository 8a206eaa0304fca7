"""The package that is fuzzed: fields of many types, a graph, rankings in phases, a model."""

from __future__ import annotations

from pathlib import Path

SERVICES = """<services version="1.0">
  <container id="default" version="1.0">
    <search/><document-api/><model-evaluation/>
  </container>
  <content id="content" version="1.0">
    <documents><document type="music" mode="index"/></documents>
  </content>
</services>
"""
SCHEMA = """schema music {
  document music {
    field title type string { indexing: index | summary  index: enable-bm25 }
    field year type int { indexing: attribute | summary }
    field tags type array<string> { indexing: attribute | summary }
    field votes type weightedset<string> { indexing: attribute | summary }
    field weights type tensor<float>(x{}) { indexing: attribute | summary }
    field vector type tensor<float>(x[2]) {
      indexing: attribute | index | summary
      attribute { distance-metric: euclidean }
    }
  }
  fieldset default { fields: title }
  rank-profile default { first-phase { expression: bm25(title) } }
  rank-profile near {
    inputs { query(q) tensor<float>(x[2]) }
    first-phase { expression: closeness(field, vector) }
    second-phase {
      expression: sum(query(q) * attribute(vector)) / attribute(year)
      rerank-count: 3
    }
    global-phase {
      expression: reciprocal_rank_fusion(firstPhase, bm25(title))
      rerank-count: 5
    }
    match-features: bm25(title) attribute(weights)
  }
}
"""
MODEL = """model plus {
  inputs { a tensor(x[2])  b tensor(x[2]) }
  function sum() { expression: a + b }
}
"""

#: Enough of it for phases and the graph to have something to do.
DOCUMENTS = [
    {
        "title": f"{'red' if number % 2 else 'green'} apple {'pie ' * (number % 3)}",
        "year": number % 5,
        "tags": ["a"] * (number % 3) + ["a" * 40 + "!"],  # slow to match with (a+)+$
        "votes": {"a": number, "b": 1},
        "weights": {"cells": {"a": number}},
        "vector": [number / 4, 1.0],
    }
    for number in range(20)
]


def write_package(folder: Path) -> Path:
    """The package's files in a new folder."""
    for name in ("schemas", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES)
    (folder / "schemas" / "music.sd").write_text(SCHEMA)
    (folder / "models" / "plus.model").write_text(MODEL)
    return folder
