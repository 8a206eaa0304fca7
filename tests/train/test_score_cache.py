"""Records of teachers on disk: by content, whole or absent, from several processes."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import StoreError
from siftline.train.score_cache import ScoreCache, record_key


def test_what_is_put_comes_back(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "a" / "cache")
    cache.put({b"k2": b"two", b"k1": b"", b"k3": b"\0\1"})
    assert cache.get([b"k1", b"k0", b"k3"]) == [b"", None, b"\0\1"]
    assert cache.missing([b"k9", b"k2", b"k1", b"k0"]) == [b"k9", b"k0"]
    assert len(cache) == 3
    del cache
    gc.collect()
    assert ScoreCache(tmp_path / "a" / "cache").get([b"k2"]) == [b"two"]


def test_one_process_opens_a_folder_once(tmp_path: Path) -> None:
    first = ScoreCache.open(tmp_path)
    (tmp_path / "sub").mkdir()
    assert ScoreCache.open(tmp_path / "sub" / "..") is first
    first.put({b"k": b"v"})
    del first
    gc.collect()
    assert ScoreCache.open(tmp_path).get([b"k"]) == [b"v"]


@given(st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=6))
def test_keys_tell_parts_apart(lists: list[list[str]]) -> None:
    keys = {record_key("teacher", *parts) for parts in lists}
    assert len(keys) == len({tuple(parts) for parts in lists})
    assert all(len(key) == 16 for key in keys)


def test_keys_tell_teachers_apart_and_take_any_text() -> None:
    assert record_key("a", "text") != record_key("b", "text")
    assert record_key("a", "\ud800") != record_key("a", "?")


WRITER = """
import sys
from pathlib import Path
from siftline.train.score_cache import ScoreCache
cache = ScoreCache(Path(sys.argv[1]))
for turn in range(100_000):
    cache.put({b"%d %d" % (turn, n): bytes([turn % 251]) * 3000 for n in range(8)})
    print(turn, flush=True)
"""


@pytest.mark.parametrize("seen", [1, 7])
def test_a_kill_leaves_whole_batches(tmp_path: Path, seen: int) -> None:
    """A process is killed while it writes and another one reads."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(seen):
            last = int(process.stdout.readline())
        reader = ScoreCache(tmp_path)
        assert all(reader.get([b"%d %d" % (last, n) for n in range(8)]))
        time.sleep(0.003)
        os.kill(process.pid, signal.SIGKILL)
        written = [last, *map(int, process.stdout.read().split())]
    del reader
    gc.collect()
    cache = ScoreCache(tmp_path)
    turns = len(cache) // 8
    assert len(cache) == 8 * turns and turns >= len(written)
    for turn in range(turns):
        whole = bytes([turn % 251]) * 3000
        assert cache.get([b"%d %d" % (turn, n) for n in range(8)]) == [whole] * 8
    cache.put({b"more": b"goes on"})


def test_a_folder_that_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match=r"cannot open the scores of teachers .* teacher_cache"):
        ScoreCache(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot open"):
        ScoreCache(tmp_path / "file")
