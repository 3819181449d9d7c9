"""Rebuild service: requests of operators to rebuild or verify, and the worker loop."""

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
"""Seconds between two polls for builds to do."""

log = structlog.get_logger(__name__)


class RebuildService:
    """Rebuilds read models in a shadow schema that replaces the live one, and verifies them."""

    def __init__(self, projector: Projector) -> None:
        self._projector, self._engine = projector, projector.engine

    def by_name(self, names: Sequence[str]) -> list[Projection]:
        """Returns the read models of these names, all of them if none is named.  Raises NotFound."""
        known = {p.name: p for p in self._projector.projections}
        for name in names:
            if name not in known:
                choices = ", ".join(known)
                raise NotFound(f"unknown read model {name!r}; use one of {choices}", name=name)
        return [known[name] for name in dict.fromkeys(names or known)]

    def partition(self, names: Sequence[str], workers: int) -> list[list[str]]:
        """Distributes read models over at most so many workers, with about equal cost."""
        return [
            [p.name for p in share] for share in partition_by_weight(self.by_name(names), workers)
        ]

    def request(self, names: Sequence[str], kind: BuildKind, *, restart: bool = False) -> None:
        """Requests a rebuild or verification of these read models; on an error, of none.

        A cancelled or failed build is resumed unless ``restart``.  Raises NotFound, Conflict.
        """
        with self._engine.begin() as tx:
            for projection in sorted(self.by_name(names), key=str):
                builds.request(tx, projection, kind, restart=restart)

    def cancel(self, name: str, *, discard: bool = False) -> bool:
        """Cancels a build; returns whether there was one.  Its tables stay unless ``discard``."""
        [projection] = self.by_name([name])
        with self._engine.begin() as tx:
            stopped = builds.cancel(tx, projection)
        if discard:
            with self._engine.begin() as tx:
                builds.discard(tx, projection)
        return stopped

    def status(self) -> dict[str, BuildProgress]:
        """Returns the last build of each read model that has had one, by name."""
        versions = {(p.name, p.version) for p in self._projector.projections}
        with self._engine.connect() as tx:
            return {b.name: b for b in load_builds(tx) if (b.name, b.version) in versions}

    def run(self, stop: Event) -> None:
        """Runs requested builds until ``stop`` is set.  After an error it logs and tries again."""
        while not stop.is_set():
            try:
                names = [build.name for build in self.status().values() if build.unfinished]
                if names:
                    self.run_builds(*names, stop=stop)
            except Exception:  # e.g. the database restarted: the build resumes from its position
                log.exception("build_interrupted")
            stop.wait(POLL_SECONDS)

    def run_builds(
        self, *names: str, stop: Event | None = None, on_progress: Callable[[], None] = lambda: None
    ) -> bool:
        """Runs the unleased builds of these read models together; returns whether all are done.

        ``on_progress`` is called after each batch.  If a fold raises, its build ends as failed.
        """
        with self._engine.begin() as tx:
            acquired = [builds.acquire(tx, p) for p in sorted(self.by_name(names), key=str)]
        leases = [lease for lease in acquired if lease is not None]
        for lease in leases:
            log.info(
                "build_leased",
                projection=str(lease.projection),
                kind=lease.kind,
                fence=lease.fence,
            )
        stop = stop or Event()
        try:
            with renewing_leases(self._engine, leases):
                if len(leases) > 1:
                    SharedBuild(self._projector, leases, stop, on_progress).run()
                done = [self._run_to_end(lease, stop, on_progress) for lease in leases]
        finally:
            with self._engine.begin() as tx:
                for lease in leases:
                    builds.release(tx, lease)
        return all(done) and len(leases) == len(set(names))

    def _run_to_end(self, lease: BuildLease, stop: Event, on_progress: Callable[[], None]) -> bool:
        """Runs one build to its end; returns whether it is done."""
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
        log.info("build_finished", projection=str(lease.projection), done=done)
        return done

    def _record_failure(self, lease: BuildLease, error: Exception) -> None:
        with self._engine.begin() as tx:
            failure = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:1000]
            builds.fail(tx, lease, failure)
