"""A server in a process of its own: where it listens, how much memory it holds, what it wrote."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from siftline.errors import SiftlineError

#: Seconds until a server must have said where it listens, and to stop.
START, STOP = 600.0, 120.0
#: A shorter run says nothing about memory: seconds.
JUDGED = 60.0
#: What the last quarter of a run may hold more than the second one: a share, and MiB.
SHARE, SLACK = 0.10, 30.0

MIB = float(1 << 20)
_ADDRESS = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Server:
    """A running `siftline serve`; log: what it writes, standard output and error."""

    process: subprocess.Popen[bytes]
    url: str
    config_url: str
    log: Path

    def memory(self) -> float:
        """Resident memory in MiB; 0 where the process is gone."""
        return resident(self.process.pid)

    def faults(self) -> list[str]:
        """Why its own words or its end are a fault; to be asked once it has stopped."""
        found = []
        if self.process.returncode:
            found.append(f"the server ended with status {self.process.returncode}")
        said = self.log.read_text("utf-8", "replace")
        if "Traceback" in said:
            found.append(f"the server wrote a traceback:\n{said[said.index('Traceback') :][:3000]}")
        return found


@contextmanager
def serving(package: Path, data: Path, log: Path, *options: str) -> Iterator[Server]:
    """A server of the package on free ports of the loopback, which ends with the block."""
    command = [sys.executable, "-m", "siftline", "serve", str(package), "--data", str(data)]
    command += ["--port", "0", "--config-port", "0", *options]
    with (
        log.open("wb") as said,
        subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True) as process,
    ):
        try:
            container, config = _addresses(process, log)
            yield Server(process, container, config, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()


def _addresses(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        found = _ADDRESS.findall(log.read_text("utf-8", "replace"))
        if len(found) >= 2:
            return found[0], found[1]
        time.sleep(0.05)
    tail = " | ".join(log.read_text("utf-8", "replace").strip().splitlines()[-3:])
    raise SiftlineError(f"the server does not start: {tail}")


def resident(process: int) -> float:
    """Resident memory of a process in MiB; 0 where there is none."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() / MIB
    except FileNotFoundError:
        pass
    command = ["ps", "-o", "rss=", "-p", str(process)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return int(told) * 1024 / MIB if told else 0.0


@dataclass(frozen=True)
class Memory:
    """Resident memory in MiB, one sample a second."""

    samples: Sequence[float]

    @property
    def early(self) -> float:
        """Mean of the second quarter: what a warm server holds."""
        quarter = len(self.samples) // 4
        return fmean(self.samples[quarter : 2 * quarter] or [0.0])

    @property
    def late(self) -> float:
        """Mean of the last quarter."""
        return fmean(self.samples[-(len(self.samples) // 4) or len(self.samples) :] or [0.0])

    @property
    def allowed(self) -> float:
        """The most that `late` may be."""
        return self.early * (1 + SHARE) + SLACK

    def faults(self) -> list[str]:
        """What is wrong where memory is not level; a run of less than a minute is not judged."""
        if len(self.samples) < JUDGED or self.late <= self.allowed:
            return []
        return [
            f"memory grows: {self.early:,.0f} MiB in the second quarter, {self.late:,.0f} MiB in"
            f" the last ({self.allowed:,.0f} MiB allowed)"
        ]

    def __str__(self) -> str:
        if len(self.samples) < JUDGED:
            return f"memory: at most {max(self.samples, default=0.0):,.0f} MiB (too short to judge)"
        return (
            f"memory: {self.early:,.0f} MiB in the second quarter, {self.late:,.0f} MiB in the"
            f" last, {self.allowed:,.0f} MiB allowed"
        )
