"""Rebuilding and verifying read models: what operators ask for, and the worker that does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.core.errors import NotFound
from projections.rebuild import builds
from projections.rebuild.builder import Builder, renewing_leases
from projections.rebuild.builds import BuildLease, BuildWithdrawn
from projections.rebuild.progress import BuildProgress, load_builds
from projections.rebuild.shared_build import SharedBuild
from projections.runtime.build_tables import BuildKind
from projections.runtime.projection import Projection, partition_by_weight
from projections.runtime.projector import Projector

POLL_SECONDS = 1.0
"""How often a worker looks for builds to do."""

log = structlog.get_logger(__name__)


class RebuildService:
    """Builds read models aside and puts them in the place of those that answer."""

    def __init__(self, projector: Projector) -> None:
        self._projector, self._engine = projector, projector.engine

    def by_name(self, names: Sequence[str]) -> list[Projection]:
        """Return the read models of these names, all of them if none is named.  Raises NotFound."""
        known = {it.name: it for it in self._projector.projections}
        for name in names:
            if name not in known:
                there = ", ".join(known)
                raise NotFound(f"there is no read model {name!r}; there are {there}", name=name)
        return [known[name] for name in dict.fromkeys(names or known)]

    def partition(self, names: Sequence[str], workers: int) -> list[list[str]]:
        """Share read models out among at most so many workers, so that all have about as much to do."""
        return [
            [it.name for it in share] for share in partition_by_weight(self.by_name(names), workers)
        ]

    def request(self, names: Sequence[str], kind: BuildKind, *, restart: bool = False) -> None:
        """Have workers rebuild or verify these read models, all of them or, on an error, none.

        What was cancelled or failed goes on where it stood, unless ``anew``.  Raises NotFound, Conflict.
        """
        with self._engine.begin() as tx:
            for projection in sorted(self.by_name(names), key=str):
                builds.request(tx, projection, kind, restart=restart)

    def cancel(self, name: str, *, discard: bool = False) -> bool:
        """Stop a build; say whether there was one.  What it has built stays, unless to be discarded."""
        [projection] = self.by_name([name])
        with self._engine.begin() as tx:
            stopped = builds.cancel(tx, projection)
        if discard:
            with self._engine.begin() as tx:
                builds.discard(tx, projection)
        return stopped

    def status(self) -> dict[str, BuildProgress]:
        """Return the last build of each read model that has had one, by name."""
        versions = {(it.name, it.version) for it in self._projector.projections}
        with self._engine.connect() as tx:
            return {it.name: it for it in load_builds(tx) if (it.name, it.version) in versions}

    def run(self, stop: Event) -> None:
        """Do what is asked for until told to stop.  Errors are logged and tried again."""
        while not stop.is_set():
            try:
                names = [it.name for it in self.status().values() if it.unfinished]
                if names:
                    self.run_builds(*names, stop=stop)
            except Exception:  # the server went away, say: what was committed is gone on with
                log.exception("build_interrupted")
            stop.wait(POLL_SECONDS)

    def run_builds(
        self, *names: str, stop: Event | None = None, on_progress: Callable[[], None] = lambda: None
    ) -> bool:
        """Do the builds of these read models that nobody is at, together; say whether all are done.

        ``told`` is called after each batch.  A fold that raises ends its build as failed.
        """
        with self._engine.begin() as tx:
            taken = [builds.acquire(tx, it) for it in sorted(self.by_name(names), key=str)]
        claims = [it for it in taken if it is not None]
        for it in claims:
            log.info("build_taken", projection=str(it.projection), kind=it.kind, fence=it.fence)
        stop = stop or Event()
        try:
            with renewing_leases(self._engine, claims):
                if len(claims) > 1:
                    SharedBuild(self._projector, claims, stop, on_progress).run()
                done = [self._run_to_end(it, stop, on_progress) for it in claims]
        finally:
            with self._engine.begin() as tx:
                for it in claims:
                    builds.release(tx, it)
        return all(done) and len(claims) == len(set(names))

    def _run_to_end(self, lease: BuildLease, stop: Event, on_progress: Callable[[], None]) -> bool:
        """Bring one build to its end; say whether it is done."""
        try:
            done = Builder(self._projector, lease, stop, on_progress).run()
        except BuildWithdrawn:
            log.info("build_withdrawn", projection=str(lease.projection), fence=lease.fence)
            return False
        except (OperationalError, PoolTimeout):  # the database is at fault, not the fold
            raise
        except Exception as error:  # whatever a fold raises
            log.exception("build_failed", projection=str(lease.projection))
            self._record_failure(lease, error)
            return False
        log.info("build_ended", projection=str(lease.projection), done=done)
        return done

    def _record_failure(self, lease: BuildLease, error: Exception) -> None:
        with self._engine.begin() as tx:
            failure = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:1000]
            builds.fail(tx, lease, failure)
