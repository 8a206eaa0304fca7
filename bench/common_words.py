"""Documents made of common words, and application packages for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from siftline.feed.operation import DocumentId, Operation

WORDS = (
    "the of and to in a is that for it was on are as with his they at be this from have or by one"
    " had not but what all were when we there can an your which their said if do will each about"
).split()

SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><search/><document-api/>{components}</container>
  <content id="content" version="1.0">
    <documents><document type="passage" mode="index"/></documents>
  </content>
</services>
"""
SCHEMA = """schema passage {{
  document passage {{
    field title type string {{ indexing: index | summary }}
    field text type string {{ indexing: index | summary }}
  }}
  fieldset default {{ fields: title, text }}{fields}
}}
"""


def common_words(count: int) -> Iterator[Operation]:
    """So many passages of 20 to 200 words, the same at every call."""
    chance = random.Random(1)
    for number in range(count):
        text = " ".join(chance.choices(WORDS, k=chance.randint(20, 200)))
        fields = {"title": f"passage {number}", "text": text}
        yield Operation("put", DocumentId("bench", "passage", "", str(number)), fields)


def write_package(
    folder: Path, *, components: str = "", fields: str = "", settings: str = ""
) -> Path:
    """A package of passages; components of the container, fields outside of the document."""
    (folder / "schemas").mkdir(parents=True)
    (folder / "ext").mkdir()
    (folder / "services.xml").write_text(SERVICES.format(components=components))
    (folder / "schemas" / "passage.sd").write_text(SCHEMA.format(fields=fields))
    (folder / "ext" / "siftline.toml").write_text(settings)
    return folder
