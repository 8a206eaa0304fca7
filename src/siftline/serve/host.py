"""The application that is served now, and how another one takes its place."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from siftline.application import Application
from siftline.errors import SiftlineError, UnavailableError, UsageError
from siftline.serve.connections import Busy
from siftline.serve.options import Options

if TYPE_CHECKING:
    from siftline.intake import Intake
    from siftline.serve.deployment import Deployments
    from siftline.serve.metrics import Metrics
    from siftline.serve.pool import Pool

log = logging.getLogger(__name__)

Made = TypeVar("Made")


class _Lease:
    """One application and how many are using it."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.users = 0
        self.retired = False


class Host:
    """Holds the application that requests see.

    A request uses one application from beginning to end, also while another one is swapped in; the
    old one is closed when its last user has left. `generation` counts the swaps and is the session
    that `serviceconverge` reports. Without an application `use` raises UnavailableError: Vespa,
    too, starts empty and waits for a package. data: folder of the index and the deployed packages.
    """

    def __init__(
        self,
        application: Application | None = None,
        *,
        options: Options | None = None,
        data: Path | None = None,
        generation: int = 1,
    ) -> None:
        self.options = options or Options()
        self.data = data or (application.data if application is not None else None)
        self.generation = generation if application is not None else 0
        self.busy = Busy()
        self._lease = _Lease(application) if application is not None else None
        self._changed = threading.Condition()
        self._swapping = threading.Lock()
        self._closed = False
        self._making = threading.RLock()
        self._made: dict[str, Any] = {}

    @property
    def ready(self) -> bool:
        """Whether there is an application to use."""
        return self._lease is not None

    @property
    def name(self) -> str | None:
        """Name of the package that is served; None if there is none."""
        return self._lease.application.package.name if self._lease is not None else None

    @contextmanager
    def use(self) -> Iterator[Application]:
        """The current application, kept open until the block is left; UnavailableError if none."""
        with self._changed:
            lease = self._lease
            if lease is None:
                raise UnavailableError(
                    "the server is shutting down"
                    if self._closed
                    else "no application package is deployed; deploy one to the config port"
                )
            lease.users += 1
        try:
            yield lease.application
        finally:
            self._leave(lease)

    def _leave(self, lease: _Lease) -> None:
        with self._changed:
            lease.users -= 1
            last = lease.retired and lease.users == 0
            self._changed.notify_all()
        if last:
            lease.application.close()

    @property
    def metrics(self) -> Metrics:
        """What is counted, for every port."""
        from siftline.serve.metrics import Metrics

        return self._once("metrics", lambda: Metrics(self))

    @property
    def pool(self) -> Pool:
        """The threads that answer queries."""
        from siftline.serve.pool import Pool

        limits = self.options.limits
        return self._once("pool", lambda: Pool(limits.threads, limits.waiting))

    @property
    def deployments(self) -> Deployments:
        """The packages that were deployed, and deploying another one; UsageError without data."""
        from siftline.serve.deployment import Deployments
        from siftline.serve.sessions import Sessions

        data = self.data
        if data is None:
            raise UsageError("packages can be deployed only where a data folder is given")
        return self._once("deployments", lambda: Deployments(self, Sessions(data)))

    @deployments.setter
    def deployments(self, deployments: Deployments) -> None:
        self._made["deployments"] = deployments

    def intake_statistics(self) -> Mapping[str, float]:
        """Numbers of the feed queue; empty before anything was fed."""
        if "intake" not in self._made:
            return {}
        return asdict(self.intake.statistics())

    @property
    def intake(self) -> Intake:
        """The queue of operations on documents, shared by every connection."""
        from siftline.intake import Intake

        return self._once("intake", lambda: Intake(self.use))

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` makes the first time; threads that ask meanwhile wait for it."""
        with self._making:
            if name not in self._made:
                self._made[name] = make()
            made: Made = self._made[name]
            return made

    def swap(
        self,
        make: Callable[[Application | None], Application],
        *,
        generation: int | None = None,
    ) -> Application:
        """Put what `make` returns for the current application (None if none) in its place.

        Feeding pauses meanwhile. Where `make` raises, nothing has changed. generation: the number
        of the new one, default one more than the current. One swap at a time.
        """
        with self._swapping, self.intake.pause():
            old = self._lease
            made = make(old.application if old is not None else None)
            with self._changed:
                if self._closed:
                    made.close()
                    raise UnavailableError("the server is shutting down")
                self._lease = _Lease(made)
                self.generation = self.generation + 1 if generation is None else generation
            self._retire(old, made)
        return made

    def clear(self) -> None:
        """Have no application any more; what was accepted is finished first."""
        with self._swapping, self.intake.pause():
            with self._changed:
                old, self._lease = self._lease, None
            self._retire(old, None)

    def _retire(self, lease: _Lease | None, successor: Application | None) -> None:
        """Close an application once nobody uses it."""
        if lease is None or lease.application is successor:
            return
        with self._changed:
            lease.retired = True
            unused = lease.users == 0
        if unused:
            lease.application.close()

    def close(self) -> None:
        """Finish what the intake accepted, wait for every user (at most `grace`), then close."""
        if "pool" in self._made:
            self.pool.close()
        with self._swapping:
            if "intake" in self._made:
                try:
                    self.intake.close()
                except SiftlineError as error:
                    log.error("closing the intake: %s", error)
            with self._changed:
                self._closed = True
                lease, self._lease = self._lease, None
                if lease is not None:
                    self._changed.wait_for(
                        lambda: lease.users == 0, timeout=self.options.limits.grace
                    )
            self._retire(lease, None)
        if "deployments" in self._made:
            self.deployments.sessions.close()
