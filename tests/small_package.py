"""A package of one schema, written to a folder."""

from __future__ import annotations

import re
from pathlib import Path

SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><search/><document-api/></container>
  <content id="{cluster}" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents><document type="{name}" mode="index"/></documents>
  </content>
</services>
"""


def package_files(schema: str, *, cluster: str = "content") -> dict[str, str]:
    """The files of a package of the schema in a text, without components: path → text."""
    declared = re.search(r"schema (\w+)", schema)
    if declared is None:
        raise ValueError("the text has no schema")
    name = declared[1]
    services = SERVICES.format(cluster=cluster, name=name)
    return {"services.xml": services, f"schemas/{name}.sd": schema}


def write_package(folder: Path, schema: str, *, cluster: str = "content") -> Path:
    """The package of `package_files` in a new folder."""
    (folder / "schemas").mkdir(parents=True)
    for path, text in package_files(schema, cluster=cluster).items():
        (folder / path).write_text(text)
    return folder
