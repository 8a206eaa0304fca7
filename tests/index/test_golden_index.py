"""An index written by format version 1 opens as it is, without being built again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from golden_index import DOCUMENTS, REMOVED
from index_fixtures import opened
from test_index_model import check

GOLDEN = Path(__file__).parent.parent / "golden" / "index-1"


def test_format_1_opens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "index"
    shutil.copytree(GOLDEN, folder)
    files = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    assert sorted(Path(name).suffix for name in files) == [
        ".deleted",
        ".json",
        ".segment",
        ".segment",
    ]
    expected = {id_: d for id_, d in DOCUMENTS.items() if id_ != REMOVED}
    with opened(folder, read_only=True) as index:
        snapshot = index.snapshot()
        check(snapshot, expected)
        assert [segment.count for segment in snapshot.segments] == [3, 1, 1]
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == files
    with opened(folder) as index:
        check(index.snapshot(), expected)
        index.merge()
        check(index.snapshot(), expected)
    assert not caplog.text
