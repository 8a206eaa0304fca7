"""Unpacking what came over the network: what is accepted, and everything that is refused whole."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import PackageError
from siftline.serve.archive import ArchiveLimits, unpack

SMALL = ArchiveLimits(file=1000, total=2000, members=10)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def plain_tar(files: Mapping[str, bytes]) -> bytes:
    return tarred(*((tarfile.TarInfo(name), data) for name, data in files.items()))


def unpacked(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def try_unpack(tmp_path: Path, data: bytes, limits: ArchiveLimits | None = None) -> Path:
    (tmp_path / "archive").write_bytes(data)
    unpack(tmp_path / "archive", tmp_path / "out", limits)
    return tmp_path / "out"


def refusal(tmp_path: Path, data: bytes, limits: ArchiveLimits | None = None) -> str:
    """What the refusal says; nothing but the archive may be left."""
    with pytest.raises(PackageError) as error:
        try_unpack(tmp_path, data, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    return str(error.value)


@pytest.mark.parametrize("pack", [zipped, plain_tar])
def test_files_and_folders_come_out_as_they_went_in(
    tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes]
) -> None:
    files = {"services.xml": b"<services/>", "schemas/a.sd": b"", "m/ö/x.bin": bytes(range(256))}
    assert unpacked(try_unpack(tmp_path, pack(files))) == files


def test_folder_entries_and_a_leading_dot_are_fine(tmp_path: Path) -> None:
    root, folder = tarfile.TarInfo("."), tarfile.TarInfo("./empty")
    root.type = folder.type = tarfile.DIRTYPE
    out = try_unpack(tmp_path, tarred((root, b""), (folder, b""), (tarfile.TarInfo("./a"), b"1")))
    assert unpacked(out) == {"a": b"1"}
    assert (out / "empty").is_dir()


BAD_NAMES = {
    "../x": "leads out",
    "a/../../x": "leads out",
    "..": "leads out",
    "/etc/x": "absolute",
    "C:/x": "absolute",
    "a\\..\\x": "backslash",
    "a//b": "empty part",
    "a\nb": "control character",
    "d/" * 70 + "x": "too long",
    "x" * 256: "too long",
}


@pytest.mark.parametrize("pack", [zipped, plain_tar])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(
    tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes], name: str
) -> None:
    assert BAD_NAMES[name] in refusal(tmp_path, pack({"good": b"1", name: b"2"}))


@pytest.mark.parametrize("pack", [zipped, plain_tar])
@pytest.mark.parametrize(
    ("first", "second"),
    [("a/B", "a/b"), ("A/x", "a/y"), ("stra\u00dfe", "STRASSE"), ("\u00e9", "e\u0301")],
)
def test_names_that_are_one_on_another_system_are_refused(
    tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes], first: str, second: str
) -> None:
    assert "differs from" in refusal(tmp_path, pack({first: b"1", second: b"2"}))


@pytest.mark.parametrize("pack", [zipped, plain_tar])
@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a")])
def test_a_file_where_a_folder_is_is_refused(
    tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes], first: str, second: str
) -> None:
    assert "has that name" in refusal(tmp_path, pack({first: b"1", second: b"2"}))


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    assert refusal(tmp_path, out.getvalue()) == (
        "a: the package is refused: the name stands there twice"
    )
    twice = tarred((tarfile.TarInfo("a"), b"1"), (tarfile.TarInfo("./a"), b"2"))
    assert "twice" in refusal(tmp_path, twice)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "it is a link"),
        (tarfile.LNKTYPE, "it is a link"),
        (tarfile.CHRTYPE, "neither a file nor a folder"),
        (tarfile.BLKTYPE, "neither a file nor a folder"),
        (tarfile.FIFOTYPE, "neither a file nor a folder"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, reason: str) -> None:
    info = tarfile.TarInfo("services.xml")
    info.type, info.linkname = kind, "/etc/passwd"
    message = refusal(tmp_path, tarred((tarfile.TarInfo("a"), b"1"), (info, b"")))
    assert message.startswith("services.xml: ")
    assert reason in message


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int) -> None:
    info = zipfile.ZipInfo("services.xml")
    info.external_attr = (mode | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert refusal(tmp_path, out.getvalue()).startswith("services.xml: the package is refused: it ")


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": b"1"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert "it is encrypted" in refusal(tmp_path, bytes(data))


@pytest.mark.parametrize("pack", [zipped, plain_tar])
def test_limits(tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes]) -> None:
    fits = {"a": bytes(1000), "b": bytes(1000)}
    good, other = tmp_path / "good", tmp_path / "other"
    good.mkdir()
    other.mkdir()
    assert unpacked(try_unpack(good, pack(fits), SMALL)) == fits
    assert "more than the 1000 allowed" in refusal(other, pack({"a": bytes(1001)}), SMALL)
    assert "unpacks to more than 2000" in refusal(other, pack({**fits, "c": b"1"}), SMALL)
    many = {f"{i}": b"" for i in range(11)}
    assert "more than 10 files" in refusal(other, pack(many), SMALL)


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    limits = ArchiveLimits(file=1 << 20, total=4 << 20)
    bomb = zipped({"models/x.onnx": bytes(8 << 20)})
    assert len(bomb) < 20_000
    assert "models/x.onnx" in refusal(tmp_path, bomb, limits)
    zeros = gzip.compress(bytes(64 << 20), 1)
    assert "more than" in refusal(tmp_path, tar_start() + zeros, limits)


def tar_start() -> bytes:
    """A gzip member with the header of a file that says it is 8 GB large."""
    info = tarfile.TarInfo("x")
    info.size = 8 << 30
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT))


def test_a_zip_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": bytes(5000)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 500)
    message = refusal(tmp_path, bytes(data), SMALL)
    assert message.startswith("a: ")


def test_a_tar_header_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x" * (4 << 20))
    data = gzip.compress(info.tobuf(tarfile.GNU_FORMAT), 1)
    assert "a header of over" in refusal(tmp_path, data)


def test_a_directory_of_many_entries_is_refused_unread(tmp_path: Path) -> None:
    data = zipped({f"{i}": b"" for i in range(50)})
    assert "more than 10 files" in refusal(tmp_path, data, SMALL)


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    assert "neither a zip file nor" in refusal(tmp_path, b"<services/>")
    assert "neither a zip file nor" in refusal(tmp_path, b"")
    assert "damaged gzip'd tar" in refusal(tmp_path, gzip.compress(b"no tar" * 200))
    assert "not a whole zip" in refusal(tmp_path, zipped({"a": bytes(3000)})[:60])


@given(data=st.data())
def test_a_damaged_archive_is_refused_whole_or_unpacks(data: st.DataObject) -> None:
    """Whatever bytes are changed: an error of ours with nothing left, or files of the limits."""
    files = {"services.xml": b"<services/>" * 20, "schemas/a.sd": b"schema a {}", "x/y": b""}
    whole = bytearray(data.draw(st.sampled_from([zipped(files), plain_tar(files)])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(whole[:cut] if data.draw(st.booleans()) else whole)
        try:
            unpack(folder / "archive", folder / "out", SMALL)
        except PackageError:
            assert [path.name for path in folder.iterdir()] == ["archive"]
        else:
            assert sum(map(len, unpacked(folder / "out").values())) <= SMALL.total
            assert {path.name for path in folder.iterdir()} == {"archive", "out"}


_PARTS = st.sampled_from(["..", ".", "", "a", "A", "b", "\\", "/", "C:", "\u00e9", "x\0", "~"])


@given(names=st.lists(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), max_size=4))
def test_no_name_leads_out_of_the_folder(names: list[str]) -> None:
    members = [(tarfile.TarInfo(name), b"inside") for name in names]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "below"
        folder.mkdir()
        (folder / "archive").write_bytes(tarred(*members))
        try:
            unpack(folder / "archive", folder / "out")
        except PackageError:
            assert {path.name for path in folder.iterdir()} == {"archive"}
        assert [path.name for path in Path(name).iterdir()] == ["below"]
        assert {path.name for path in folder.iterdir()} <= {"archive", "out"}
