"""Builds a Foldline for tests: all real except the socket, plus one read model for queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
from pydantic import BaseModel, Field
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
)
from starlette.testclient import TestClient

from application.deliveries.networks import parse_networks
from application.deliveries.service import DeliveryService
from application.ledger.append.prepared import Receipt
from application.ledger.ledger import Ledger
from application.ledger.server_requirements import check_server
from application.ledger.store import LedgerDatastore
from application.ledger.tables.keys import KEY_KINDS, ApiKeys
from application.ledger.tables.rejected import Rejection
from application.ledger.tables.workspaces import Workspaces
from application.profiles.erasing import ErasureService
from domain.events.message import Message
from interfaces.http.app import Application, create_app
from interfaces.query_connections import create_query_engine
from interfaces.service import Service
from interfaces.settings import Settings
from projections import PROJECTIONS
from projections.rebuild.erasure import begin_erasure
from projections.runtime.batch import Batch
from projections.runtime.ports import Reader
from projections.runtime.projection import Projection, Query
from projections.runtime.projector import Projector

seen = Table(
    "seen",
    MetaData(schema="read_seen_v1"),
    Column("workspace", Integer, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
)


class SeenParams(BaseModel):
    ref: str
    limit: int = Field(50, ge=1, le=100)
    name: list[str] | None = None


class Names(BaseModel):
    names: list[str]
    next: str | None
    projected_to: int


def _take(tx, batch: Batch) -> None:
    rows = [
        {"workspace": batch.workspace, "position": item.recorded.position, "name": item.event.name}
        for item in batch.messages()
    ]
    if rows:
        tx.execute(insert(seen), rows)


def _answer(reader: Reader, params: SeenParams):
    names = select(seen.c.name).where(seen.c.workspace == reader.workspace)
    if params.name:
        names = names.where(seen.c.name.in_(params.name))
    if params.ref == "slow":
        reader.tx.execute(select(func.pg_sleep(30)))
    if params.ref == "broken":
        raise RuntimeError("a secret of the server")
    found = [row.name for row in reader.tx.execute(names.order_by(seen.c.position))]
    return {
        "ref": params.ref,
        "names": found[: params.limit],
        "next": None,
        "projected_to": reader.projected_to,
    }


SEEN = Projection(
    name="seen",
    version=1,
    metadata=seen.metadata,
    apply=_take,
    queries=(Query("/seen/{ref}/names", SeenParams, Names, _answer, "Names in ledger order"),),
)
"""A read model for tests of query routes."""


@dataclass
class Served:
    service: Service
    app: Application
    client: TestClient
    workspace: int
    keys: dict[str, str]

    def get(self, path: str, kind: str = "read", **more):
        return self.client.get(path, headers={"Authorization": f"Bearer {self.keys[kind]}"}, **more)

    def record(self, *messages: Message, rejections: tuple[Rejection, ...] = ()) -> Receipt:
        return self.service.ledger.record(self.workspace, messages, rejections).result(10)

    def project(self) -> None:
        self.service.projector.catch_up()


@contextmanager
def serving(dsn: str, *, longest_seconds: float = 5.0) -> Iterator[Service]:
    store = LedgerDatastore(dsn)
    workspaces = Workspaces(store)
    ledger = Ledger(store, workspaces)
    writing = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    reading = create_query_engine(dsn, timeout_seconds=longest_seconds)
    try:
        projector = Projector(ledger, writing, (*PROJECTIONS, SEEN))
        yield Service(
            settings=Settings.from_environment({}),
            ledger=ledger,
            keys=ApiKeys(store),
            workspaces=workspaces,
            engine=reading,
            feed=ledger,
            projector=projector,
            erasure=ErasureService(ledger, partial(begin_erasure, projector)),
            deliveries=DeliveryService(
                store, ledger, key=bytes(32), allowed=parse_networks("127.0.0.0/8, ::1/128")
            ),
            check_database=partial(check_server, dsn),
        )
    finally:
        ledger.close()
        store.close()
        writing.dispose()
        reading.dispose()


@contextmanager
def served_on(dsn: str) -> Iterator[Served]:
    with serving(dsn, longest_seconds=0.5) as service:
        service.projector.prepare()
        workspace = service.workspaces.create("default").id
        keys = {kind: service.keys.create(workspace, kind).text for kind in KEY_KINDS}
        app = create_app(service, wait_seconds=0.3)
        with TestClient(app, follow_redirects=False) as client:
            yield Served(service, app, client, workspace, keys)
