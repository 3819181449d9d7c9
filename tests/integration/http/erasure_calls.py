"""Erasure requests, and reads of the data that is left afterwards."""

from __future__ import annotations

from domain.core.identifiers import Identifier
from projections.rebuild.erasure import begin_erasure
from tests.builders import anonymous, user
from tests.integration.http.serving import Served

ANN, BOB = user("ann-canary"), user("bob-canary")
PHONE, SHARED = anonymous("phone-canary"), anonymous("shared-canary")


def erase(served: Served, who: Identifier, kind: str = "admin", **body):
    headers = {"Authorization": f"Bearer {served.keys[kind]}"}
    return served.client.request("DELETE", f"/v1/profiles/{who}", headers=headers, json=body)


def post(served: Served, path: str, **body):
    headers = {"Authorization": f"Bearer {served.keys['admin']}"}
    return served.client.post(f"/v1/profiles/{path}", headers=headers, json=body)


def names(served: Served, who: Identifier) -> list[str]:
    answer = served.get(f"/v1/profiles/{who}/timeline")
    if answer.status_code != 200:
        return []
    return [item["name"] for item in answer.json()["timeline"] if item["kind"] != "derived"]


def rows(served: Served) -> dict[str, list[str]]:
    """Return every row of every read model of the workspace, by table."""
    with served.service.projector._engine.connect() as tx:
        return {
            str(table): sorted(
                tx.exec_driver_sql(
                    f"SELECT to_jsonb(t)::text FROM {table} t WHERE workspace = {served.workspace}"
                ).scalars()
            )
            for projection in served.service.projector.projections
            for table in projection.metadata.sorted_tables
        }


def rebuild(served: Served) -> None:
    with begin_erasure(served.service.projector, served.workspace) as unit:
        for projection in served.service.projector.projections:
            unit._empty(projection.name, projection.version)
    served.project()


def evidence(served: Served) -> list[tuple]:
    with served.service.projector._engine.connect() as tx:
        found = tx.exec_driver_sql(
            "SELECT position, originator_id, originator_version, commitment, leaf"
            " FROM ledger.event ORDER BY position"
        )
        return [tuple(row) for row in found]
