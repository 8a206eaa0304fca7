"""Model files from the model hub through huggingface_hub, with a short look whether it is there."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import urllib.error
import urllib.request
from functools import cache as remembered
from pathlib import Path

from siftline.errors import ModelError
from siftline.model.cache import verify
from siftline.model.catalogue import ModelFile, Source
from siftline.model.progress import Progress
from siftline.model.wheels import SourceUnavailableError

#: Seconds after which a hub that has not answered counts as unreachable.
PROBE_SECONDS = 4.0
_SHA256_LENGTH = 64


@remembered
def hub_answers(endpoint: str) -> bool:
    """Whether the hub answers at all within PROBE_SECONDS; asked once in a process.

    In a thread, because looking up a name can take longer than any socket's time limit.
    """
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(endpoint, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
                answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            return

    thread = threading.Thread(target=ask, daemon=True, name="siftline-hub-probe")
    thread.start()
    thread.join(PROBE_SECONDS)
    return answered.is_set()


def hub_files(source: Source, target: Path, progress: Progress) -> None:
    """Write every file of a hub source into `target`, verified.

    Without a reachable hub, and where HF_HUB_OFFLINE is set, only what huggingface_hub has already
    downloaded is used. Raises SourceUnavailableError, and ModelError for a wrong file.
    """
    from huggingface_hub import constants

    offline = bool(constants.HF_HUB_OFFLINE)
    reachable = not offline and hub_answers(constants.ENDPOINT)
    for file in source.files:
        progress(f"{source.repository}/{file.name}", 0, None)
        path = _download(source, file, local=not reachable, offline=offline)
        destination = target / file.name
        destination.parent.mkdir(parents=True, exist_ok=True)
        _copy(path, destination)
        verify(destination, file.sha256 or _etag(path), file.name, str(source))


def _download(source: Source, file: ModelFile, *, local: bool, offline: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if source.repository is None:
        raise ModelError(f"catalogue: the hub source of '{file.name}' names no repository")
    try:
        path = hf_hub_download(
            source.repository, file.path, revision=source.revision, local_files_only=local
        )
    except LocalEntryNotFoundError:
        why = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise SourceUnavailableError(f"{why}, and '{file.path}' is not in its cache") from None
    except _download_errors() as error:
        raise SourceUnavailableError(" ".join(str(error).split())[:300]) from None
    return Path(path)


def _download_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises: its own, the system's, and those of its HTTP library.

    Which library that is depends on its version; it is loaded by the time something fails.
    """
    from huggingface_hub.errors import HfHubHTTPError

    found: list[type[Exception]] = [HfHubHTTPError, OSError]
    for library in ("httpx", "httpx2"):
        if library in sys.modules:
            found.append(sys.modules[library].HTTPError)
    return tuple(found)


def _etag(path: Path) -> str | None:
    """The sha256 that the hub gave for a large file: the name of the blob it is kept under."""
    name = path.resolve().name
    hexadecimal = len(name) == _SHA256_LENGTH and all(c in "0123456789abcdef" for c in name)
    return name if hexadecimal else None


def _copy(source: Path, destination: Path) -> None:
    """A hard link where the file systems allow it: large files are then stored once."""
    real = source.resolve()
    try:
        os.link(real, destination)
    except OSError:
        shutil.copyfile(real, destination)
