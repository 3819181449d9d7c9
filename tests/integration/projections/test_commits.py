"""Commits of read models do not wait for the disk; those of erasures do."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text

from interfaces.embedded.postgres import EmbeddedPostgres
from projections import PROJECTIONS, profile
from projections.rebuild.erasure import begin_erasure
from projections.runtime.batch import Batch
from projections.runtime.projector import Projector
from tests.fix_embedded import postmaster
from tests.integration.projections.customers import customers
from tests.integration.projections.given import Given, rows_of
from tests.integration.projections.history import ListFeed, recorded


def projector(feed: ListFeed, dsn: str) -> Projector:
    url = dsn.replace("postgresql://", "postgresql+psycopg://", 1)
    made = Projector(feed, create_engine(url), PROJECTIONS)
    made.prepare()
    return made


def waits(tx: Connection) -> str:
    found: str = tx.execute(text("SHOW synchronous_commit")).scalar_one()
    return found


def rows(engine: Engine) -> dict[str, list[str]]:
    return rows_of(engine, PROJECTIONS, 1, ())


def test_what_a_crash_of_the_server_takes_back_is_taken_in_again(home: Path) -> None:
    feed = ListFeed(w1=recorded([*customers(60)]))
    with EmbeddedPostgres(home) as dsn:
        before = projector(feed, dsn)
        before.catch_up(1, 7)
        expected = rows(before.engine)
        os.kill(postmaster(home) or 0, signal.SIGKILL)
        before.engine.dispose()

        with EmbeddedPostgres(home) as again:
            after = projector(feed, again)
            after.catch_up(1, 7)
            assert rows(after.engine) == expected
            after.engine.dispose()


def test_only_the_commit_of_a_batch_does_not_wait(given: Given) -> None:
    seen = []

    def apply(tx: Connection, batch: Batch) -> None:
        seen.append(waits(tx))

    given.feed.workspaces[1] = recorded([*customers(3)])
    moved = Projector(
        given.feed, given.engine, [dataclasses.replace(profile.projection, apply=apply)]
    )
    moved.catch_up(1)
    with begin_erasure(moved, 1) as forgetting:
        [after] = forgetting.connection.execute("SHOW synchronous_commit").fetchone() or [""]
    assert (seen, after) == (["off"], "on")
