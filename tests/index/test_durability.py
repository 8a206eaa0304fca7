"""What survives a killed process, a full disk, a failed rename, a damaged or lost file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import lmdb
import pytest
from index_fixtures import abandon, encoded, opened, title_encoded

from siftline.errors import DocumentError, StoreError
from siftline.index.index import Index
from siftline.index.manifest import read_manifest

#: 3 in the suite; `SIFTLINE_CRASH_ROUNDS=20` for the long version
ROUNDS = int(os.environ.get("SIFTLINE_CRASH_ROUNDS", "3"))
HERE = str(Path(__file__).parent)


def child(code: str, folder: Path) -> subprocess.Popen[str]:
    """A process that runs `code` with an index's folder in `folder`."""
    head = f"import sys; sys.path.insert(0, {HERE!r})\nfrom pathlib import Path\n"
    head += f"from index_fixtures import *\nfolder = Path({str(folder)!r})\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


FEED = """
    index = opened(folder)
    start = index.snapshot().last
    print("ready", flush=True)
    for n in range(start, start + 100_000, 3):
        batch = {f"id:t:doc::{i % 200}": {
            "title": f"word{i} again", "count": i, "sparse": {f"t{i % 50}": 1.5, "all": 0.5},
            "dense": [i, 1, 2, 3]} for i in range(n, n + 3)}
        last = index.write(encoded(batch))
        print(last, n + 2, flush=True)
        if n % 5 == 0:
            index.snapshot()
        if n % 11 == 0:
            index.commit()
        if n % 101 == 0:
            index.merge()
"""


def test_acknowledged_writes_survive_a_kill(tmp_path: Path) -> None:
    randomness = random.Random(7)
    for _ in range(ROUNDS):
        with child(FEED, tmp_path / "index") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(randomness.uniform(0.05, 1.5))
            process.send_signal(signal.SIGKILL)
            lines = [line.split() for line in process.stdout.read().splitlines()]
        whole = [(int(line[0]), int(line[1])) for line in lines if len(line) == 2]
        if whole:
            check_survivors(tmp_path / "index", *whole[-1])


def check_survivors(folder: Path, sequence: int, number: int) -> None:
    """Every document up to the acknowledged one is there and searchable."""
    with opened(folder) as index:
        snapshot = index.snapshot()
        assert snapshot.last >= sequence
        newest = {}
        for i in range(max(0, number - 150), number + 1):
            newest[f"id:t:doc::{i % 200}"] = i
        for id_, i in newest.items():
            document = snapshot.find(id_)
            assert document is not None
            count = snapshot.fields(document)["count"]
            assert count >= i and count % 200 == i % 200
            if count == i:
                assert snapshot.document_frequency("title", f"word{i}") >= 1
        documents = snapshot.documents()
        assert (
            len(snapshot.ids(documents)) == len(set(snapshot.ids(documents))) == index_size(index)
        )
        dense = snapshot.dense("dense", documents).values[:, 0].tolist()
        assert dense == snapshot.column("count", documents).values.tolist()


def index_size(index: Index) -> int:
    return sum(1 for _ in index.visit())


def test_a_second_writer_is_told_who_has_the_index(tmp_path: Path) -> None:
    waiting = 'index = opened(folder); print("open", flush=True); sys.stdin.read()'
    with child(waiting, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=rf"{tmp_path}.*pid {process.pid}\b.*read-only"):
            opened(tmp_path)
        opened(tmp_path, read_only=True).close()
        process.kill()
    opened(tmp_path).close()


def test_a_second_writer_in_the_same_process(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        with pytest.raises(StoreError, match=f"pid {os.getpid()}"):
            opened(tmp_path)
        index.write(title_encoded({"id:t:doc::1": "still works"}))


def test_a_reader_sees_the_moment_of_its_opening(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(title_encoded({"id:t:doc::1": "old", "id:t:doc::2": "other"}))
    reader = opened(tmp_path, read_only=True)
    change = """
        index = opened(folder)
        index.write(title_encoded({"id:t:doc::1": "new", "id:t:doc::3": "third"}))
        index.merge()
        """
    with child(change, tmp_path) as writer:
        pass
    assert writer.returncode == 0
    snapshot = reader.snapshot()
    assert snapshot.ids(snapshot.documents()) == ["id:t:doc::1", "id:t:doc::2"]
    assert reader.get("id:t:doc::1") == {"title": "old"}
    with pytest.raises(StoreError, match="read-only"):
        reader.write(title_encoded({"id:t:doc::4": "no"}))
    with pytest.raises(StoreError, match="read-only"):
        reader.commit()
    reader.close()
    with opened(tmp_path, read_only=True) as again:
        assert [id_ for id_, _ in again.visit()] == ["id:t:doc::2", "id:t:doc::1", "id:t:doc::3"]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no index in"):
        opened(tmp_path / "missing", read_only=True)
    assert not (tmp_path / "missing").exists()


def test_a_failed_rename_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opened(tmp_path)
    index.write(title_encoded({"id:t:doc::1": "first"}))
    index.commit()
    before = sorted(path.name for path in tmp_path.iterdir())
    published = read_manifest(tmp_path)
    index.write(title_encoded({"id:t:doc::2": "second"}), ["id:t:doc::1"])

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match="cannot write .*Input/output error"):
        index.commit()
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert read_manifest(tmp_path) == published
    assert index.snapshot().ids(index.snapshot().documents()) == ["id:t:doc::2"]
    abandon(index)
    with opened(tmp_path) as again:
        assert [id_ for id_, _ in again.visit()] == ["id:t:doc::2"]
        again.commit()
        assert [id_ for id_, _ in again.visit()] == ["id:t:doc::2"]


FULL = """
    import resource, signal
    from siftline.errors import StoreError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    index = opened(folder)
    n = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    try:
        while True:
            index.write(encoded({f"id:t:doc::{n}": {"title": f"word{n} " + "filler " * 4000}}))
            n += 1
    except StoreError as error:
        assert "nothing was written" in str(error), error
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
    try:
        index.commit()
        raise SystemExit("the commit should not fit")
    except StoreError as error:
        assert "full" in str(error), error
    assert index.snapshot().document_count == n
    assert not list(folder.glob("*.segment")), list(folder.iterdir())
    print(n, flush=True)
    import os; os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are Unix's")
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    with child(FULL, tmp_path) as process:
        assert process.stdout is not None
        output = process.stdout.read()
    assert process.returncode == 0
    written = int(output)
    assert written > 0
    with opened(tmp_path) as index:
        assert index.snapshot().document_count == written
        assert index.get(f"id:t:doc::{written}") is None
        assert index.get(f"id:t:doc::{written - 1}") is not None


def test_a_refused_document_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(title_encoded({"id:t:doc::1": "first"}))
        batch = encoded({"id:t:doc::1": {"title": "changed"}, "id:t:doc::2": {"count": 1}})
        batch.fields[1]["odd"] = {1, 2}  # type: ignore[index]
        with pytest.raises(DocumentError, match="id:t:doc::2 has a value that cannot be stored"):
            index.write(batch)
        assert list(index.visit()) == [("id:t:doc::1", {"title": "first"})]


def test_the_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siftline.index.store.INITIAL_MAP", 1 << 18)
    with opened(tmp_path) as index:
        text = "word " * 20_000
        for n in range(10):
            index.write(title_encoded({f"id:t:doc::{n}": text}))
        assert index.snapshot().document_count == 10
        assert index._store._env.info()["map_size"] >= 1 << 20


def test_an_error_of_the_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as index:

        def full(*_: object, **__: object) -> None:
            raise lmdb.DiskError("No space left on device")

        monkeypatch.setattr(index._store, "set_meta", full)
        with pytest.raises(StoreError, match="nothing was written: No space left"):
            index.write(title_encoded({"id:t:doc::1": "x"}))
        monkeypatch.undo()
        assert index.get("id:t:doc::1") is None
        assert index.write(title_encoded({"id:t:doc::1": "x"})) == 1


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest", "manifest gone"])
def test_damaged_segments_are_built_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as index:
        index.write(encoded({f"id:t:doc::{n}": {"title": "red", "count": n} for n in range(5)}))
        index.commit()
        index.write(encoded({}), ["id:t:doc::3"])
    segment = next(tmp_path.glob("*.segment"))
    published = tmp_path / "manifest.json"
    if damage == "cut":
        segment.write_bytes(segment.read_bytes()[:-9])
    elif damage == "gone":
        segment.unlink()
    elif damage == "manifest":
        published.write_text(published.read_text().replace('"count": 5', '"count": 6'))
    else:
        published.unlink()
    if damage in ("cut", "gone"):
        with pytest.raises(StoreError, match=r"\.segment is (damaged|missing)"):
            opened(tmp_path, read_only=True)
    with opened(tmp_path) as index:
        snapshot = index.snapshot()
        assert snapshot.column("count", snapshot.documents()).values.tolist() == [0, 1, 2, 4]
        assert snapshot.document_frequency("title", "red") == 4
    if damage in ("cut", "gone"):
        assert "segments are built again" in caplog.text
    caplog.clear()
    with opened(tmp_path) as index:
        assert index.snapshot().document_count == 4
    assert not caplog.text


def test_a_store_that_is_none_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(title_encoded({"id:t:doc::1": "red"}))
    data = tmp_path / "store" / "data.mdb"
    whole = data.read_bytes()
    data.write_bytes(b"x" * len(whole))
    for read_only in (False, True):
        with pytest.raises(StoreError, match="cannot open the documents of"):
            opened(tmp_path, read_only=read_only)
    data.write_bytes(whole)
    with opened(tmp_path) as index:
        assert index.get("id:t:doc::1") == {"title": "red"}


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot create"):
        opened(tmp_path / "file")


def test_stale_files_are_removed_and_old_snapshots_stay_readable(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        for n in range(3):
            index.write(title_encoded({f"id:t:doc::{n}": "red"}))
            index.commit()
        old = index.snapshot()
        assert len(old.segments) == 3
        index.write(encoded({}), ["id:t:doc::0"])
        index.merge()
        assert len(list(tmp_path.glob("*.segment"))) == 1
        assert old.document_frequency("title", "red") == 3
        assert old.ids(old.documents()) == [f"id:t:doc::{n}" for n in range(3)]
        assert old.find("id:t:doc::0") == 0
        del old
        index.write(title_encoded({"id:t:doc::9": "red"}))
        index.commit()
        assert index._store.tombstones(0, 10) == []


def test_readers_open_beside_a_busy_writer(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with child(FEED, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(15):
            acknowledged = int(process.stdout.readline().split()[0])
            with opened(folder, read_only=True) as reader:
                snapshot = reader.snapshot()
                documents = snapshot.documents()
                counts = snapshot.column("count", documents).values
                assert snapshot.last >= acknowledged
                fields = [snapshot.fields(int(d))["count"] for d in documents[-5:]]
                assert counts[-5:].tolist() == fields
                assert len(snapshot.ids(documents)) == snapshot.document_count
        process.kill()


def test_labels_that_a_merge_numbers_survive_a_kill(tmp_path: Path) -> None:
    """Blocks "0", "1", … get numbers where they meet blocks with labels of their own."""
    index = opened(tmp_path / "i")
    index.write(encoded({"id:t:doc::0": {"tokens": {"0": [1, 2], "1": [3, 4]}}}))
    index.commit()
    index.write(encoded({"id:t:doc::1": {"tokens": {"red": [5, 6]}}}))
    index.merge()
    abandon(index)
    with opened(tmp_path / "i") as index:
        snapshot = index.snapshot()
        found = snapshot.tensors("tokens", snapshot.documents())
        first, second = found.tensor(0), found.tensor(1)
        assert first is not None and set(first.labels) == {("0",), ("1",)}
        assert second is not None and set(second.labels) == {("red",)}


def test_documents_replaced_all_the_time_do_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siftline.index.index.FLUSH_DEAD", 100)
    size = tmp_path / "i" / "store" / "data.mdb"
    sizes = []
    with opened(tmp_path / "i") as index:
        for turn in range(40):
            titles = {f"id:t:doc::{i}": f"turn {turn} " + "word " * 400 for i in range(20)}
            index.write(title_encoded(titles))
            sizes.append(size.stat().st_size)
        assert index.snapshot().document_count == 20
    assert max(sizes[20:]) <= 1.2 * max(sizes[:20])
