"""An application with a music schema behind `/document/v1`, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from siftline.application import Application
from siftline.serve.app import container_app
from siftline.serve.host import Host
from siftline.serve.options import Limits, Options

SCHEMA = """
schema music {
  document music {
    field title type string { indexing: index | summary  index: enable-bm25 }
    field year type int { indexing: attribute | summary }
    field tags type array<string> { indexing: attribute | summary }
    field weights type tensor<float>(x{}) { indexing: attribute | summary }
    field vector type tensor<float>(x[2]) { indexing: attribute | summary }
  }
}
"""
OTHER = "schema book { document book { field title type string { indexing: index | summary } } }"
SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><search/><document-api>{api}</document-api></container>
  <content id="content" version="1.0">
    <documents>
      <document type="music" mode="index"{selection}/>
      <document type="book" mode="index"/>
    </documents>
  </content>
</services>
"""
IGNORING = "<ignore-undefined-fields>true</ignore-undefined-fields>"


def write_package(folder: Path, api: str = "", selection: str = "") -> Path:
    """The package's files; api: inside `<document-api>`; selection: of music, as an attribute."""
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES.format(api=api, selection=selection))
    (folder / "schemas" / "music.sd").write_text(SCHEMA)
    (folder / "schemas" / "book.sd").write_text(OTHER)
    return folder


@contextmanager
def serving(
    folder: Path, api: str = "", selection: str = "", limits: Limits | None = None
) -> Iterator[tuple[TestClient, Host]]:
    """A client of an application whose index is empty."""
    package = write_package(folder / "app", api, selection)
    application = Application.open(package, folder / "data")
    host = Host(application, options=Options(limits=limits or Limits()))
    try:
        yield TestClient(container_app(host)), host
    finally:
        host.close()
