from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from siftline.errors import StoreError
from siftline.index.arrays import ALIGNMENT, DamagedError, FileWriter, Under, open_arrays


def written(path: Path) -> Path:
    writer = FileWriter(path)
    writer.put("small", np.arange(5, dtype=np.int32))
    Under(writer, "a/b").put("deep", np.ones((2, 3), np.float32))
    writer.allocate("filled", np.uint8, (100,))[:] = 7
    writer.put("empty", np.zeros((0, 4), np.int8))
    writer.note("a/b/count", 3)
    writer.finish()
    return path


def test_arrays_come_back(tmp_path: Path) -> None:
    opened = open_arrays(written(tmp_path / "f"))
    assert opened["small"].tolist() == [0, 1, 2, 3, 4]
    assert opened["filled"].tolist() == [7] * 100
    assert opened["empty"].shape == (0, 4)
    below = opened.under("a/b")
    assert below["deep"].shape == (2, 3)
    assert below.notes == {"count": 3}
    assert "small" in opened and "small" not in below


@given(st.lists(arrays(scalar_dtypes(), array_shapes(min_dims=0, min_side=0)), max_size=5))
def test_any_array_comes_back(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:  # type: ignore[type-arg]
    values = [v for v in values if v.dtype.kind in "iufb"]
    path = tmp_path_factory.mktemp("arrays") / "f"
    writer = FileWriter(path)
    for i, value in enumerate(values):
        writer.put(str(i), value)
    writer.finish()
    opened = open_arrays(path)
    for i, value in enumerate(values):
        assert opened[str(i)].dtype == value.dtype
        shape = value.shape or (1,)
        np.testing.assert_array_equal(opened[str(i)].reshape(shape), value.reshape(shape))


def test_arrays_are_aligned_and_read_only(tmp_path: Path) -> None:
    opened = open_arrays(written(tmp_path / "f"))
    for name, _ in opened.sizes():
        if opened[name].size:
            assert opened[name].ctypes.data % ALIGNMENT == 0
            assert not opened[name].flags.writeable


def test_arrays_stay_readable_when_the_file_is_gone(tmp_path: Path) -> None:
    path = written(tmp_path / "f")
    opened = open_arrays(path)
    path.unlink()
    assert opened["small"].sum() == 10


def test_an_unfinished_file_is_damaged(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path / "f")
    writer.put("a", np.arange(1000))
    writer._file.flush()
    with pytest.raises(DamagedError, match="does not start with"):
        open_arrays(tmp_path / "f")
    writer.abandon()
    assert not (tmp_path / "f").exists()


@given(data=st.data())
def test_a_changed_table_or_length_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = written(tmp_path_factory.mktemp("damage") / "f")
    content = bytearray(path.read_bytes())
    offset, length = struct.unpack_from("<QQ", content, 16)
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        places = [*range(8), *range(12, 40), *range(offset, offset + length)]
        content[data.draw(st.sampled_from(places))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="damaged|cannot be read"):
        open_arrays(path)


def test_a_newer_format_names_both_versions(tmp_path: Path) -> None:
    path = written(tmp_path / "f")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 8, 7)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="format 7, this version reads up to 1: upgrade") as found:
        open_arrays(path)
    assert not isinstance(found.value, DamagedError)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"nowhere\.segment is missing"):
        open_arrays(tmp_path / "nowhere.segment")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        FileWriter(tmp_path / "missing" / "f")
