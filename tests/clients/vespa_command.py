"""The real `vespa` command, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import vespacli  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Vespa:
    """`vespa -t TARGET …`; home: the folder of its settings, so that none of the user's count."""

    home: Path
    target: str

    def __call__(
        self, *arguments: str, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What the command printed; given: its standard input."""
        # the pip wrapper of the same name drops exit codes
        command = [vespacli.get_binary_path(), "-t", self.target, "-c", "never", *arguments]
        environment = {**os.environ, "VESPA_CLI_HOME": str(self.home), "HOME": str(self.home)}
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            check=False,
        )

    def ok(self, *arguments: str, given: str | None = None) -> str:
        """Standard output of a command that succeeds."""
        done = self(*arguments, given=given)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
