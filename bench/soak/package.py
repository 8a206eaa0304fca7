"""The package that is soaked: text, an attribute, a vector that is fed, one that is embedded."""

from __future__ import annotations

from pathlib import Path

from siftline.model.fetch import fetch

#: Values of the vector that is fed.
WIDTH = 16

SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><search/><document-api/>{component}</container>
  <content id="content" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents><document type="note" mode="index"/></documents>
  </content>
</services>
"""
COMPONENT = """
    <component id="dense" type="hugging-face-embedder">
      <transformer-model path="models/model.onnx"/>
      <tokenizer-model path="models/tokenizer.json"/>
    </component>
  """
SCHEMA = """schema note {{
  document note {{
    field name type string {{ indexing: attribute | summary }}
    field owner type string {{ indexing: attribute | summary  attribute: fast-search }}
    field year type int {{ indexing: attribute | summary  attribute: fast-search }}
    field tags type array<string> {{ indexing: attribute | summary }}
    field text type string {{ indexing: index | summary  index: enable-bm25  stemming: none }}
    field vector type tensor<float>(x[{width}]) {{
      indexing: attribute | index | summary
      attribute {{ distance-metric: euclidean }}
    }}
  }}{embedding}
  fieldset default {{ fields: text }}
  rank-profile default {{ first-phase {{ expression: bm25(text) }} }}
  rank-profile near {{
    inputs {{ query(q) tensor<float>(x[{width}]) }}
    first-phase {{ expression: closeness(field, vector) }}
  }}{profile}
}}
"""
EMBEDDING = """
  field embedding type tensor<float>(x[{width}]) {{
    indexing: input text | embed dense | attribute
    attribute {{ distance-metric: angular }}
  }}"""
PROFILE = """
  rank-profile meaning {{
    inputs {{ query(e) tensor<float>(x[{width}]) }}
    first-phase {{ expression: closeness(field, embedding) }}
  }}"""


def write_package(folder: Path, model: str | None = None) -> Path:
    """The package's files in a new folder; model: a dense one of the catalogue, for `embedding`."""
    (folder / "schemas").mkdir(parents=True)
    component = embedding = profile = ""
    if model is not None:
        from siftline.model.catalogue import load_catalogue

        width = load_catalogue()[model].dimensions
        fetch(model)
        component = COMPONENT
        embedding, profile = EMBEDDING.format(width=width), PROFILE.format(width=width)
        (folder / "ext").mkdir()
        (folder / "ext" / "siftline.toml").write_text(f'[models]\n"models" = "{model}"\n')
    schema = SCHEMA.format(width=WIDTH, embedding=embedding, profile=profile)
    (folder / "services.xml").write_text(SERVICES.format(component=component))
    (folder / "schemas" / "note.sd").write_text(schema)
    return folder
