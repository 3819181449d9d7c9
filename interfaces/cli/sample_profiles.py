"""Three named profiles of the demo, each with what the sample customers lack.

Ada buys much, has a tag, a company and a phone, and shopped under an old account that is merged into hers.
Ben leaves a cart behind. Cem's order arrives twelve days late, after everything else was recorded.
Message ids are fixed: a second run of the demo adds nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from interfaces.cli.sample_data import Message

if TYPE_CHECKING:
    from interfaces.service import Service

MERGED, PRIMARY = "ada-2019", "ada"
"""User ids: the first is merged into the second."""


def named_messages(now: datetime) -> list[Message]:
    """Return the messages of the named profiles but for the late one."""
    return [
        *_ada(now),
        *_ben(now),
        *_cem(now),
    ]


def late_messages(now: datetime) -> list[Message]:
    """Return Cem's order, which a till that was offline sends twelve days late."""
    desk = _item("sku-401", "Standing desk", "desk", 689.0)
    return [_order("cem-3", now, days=12, user="cem", items=[desk, desk])]


def merge_old_account(service: Service, workspace: int) -> None:
    """Merge Ada's old account into the one she uses; the same command again changes nothing."""
    from application.profiles.merging import MergeContext, MergeService
    from domain.core.identifiers import Identifier

    primary, secondary = (
        service.ledger.stream_of(workspace, Identifier("user_id", value))
        for value in (PRIMARY, MERGED)
    )
    context = MergeContext("foldline demo", "two accounts of one customer", "demo-merge-ada")
    MergeService(service.ledger).merge(workspace, primary, secondary, context)


def _ada(now: datetime) -> list[Message]:
    monitor = _item("sku-102", "34-inch monitor", "monitor", 529.5)
    desk = _item("sku-401", "Standing desk", "desk", 689.0)
    return [
        _call("ada-1", now, days=24, kind="identify", user=MERGED, traits={"name": "Ada Almeida"}),
        _order("ada-2", now, days=24, user=MERGED, items=[_item("sku-501", "Lamp", "lamp", 45.0)]),
        _call(
            "ada-3",
            now,
            days=20,
            kind="identify",
            user=PRIMARY,
            traits={
                "name": "Ada Almeida",
                "email": "ada@mail.example",
                "phone": "+351900000001",
                "city": "Lisbon",
                "plan": "pro",
            },
            context={"device": {"token": "demo-token-1", "type": "ios", "model": "iPhone 16"}},
        ),
        _call(
            "ada-4",
            now,
            days=20,
            kind="group",
            user=PRIMARY,
            groupId="almeida-design",
            traits={"name": "Almeida Design", "employees": 12},
        ),
        _call("ada-5", now, days=19, user=PRIMARY, event="Tag Added", properties={"tag": "vip"}),
        _order("ada-6", now, days=11, user=PRIMARY, items=[monitor]),
        _view("ada-7", now, days=3, user=PRIMARY, item=desk),
        _cart("ada-8", now, days=2, user=PRIMARY, item=desk),
        _order("ada-9", now, days=2, minutes=-20, user=PRIMARY, items=[desk]),
    ]


def _ben(now: datetime) -> list[Message]:
    small = _item("sku-101", "27-inch monitor", "monitor", 249.0)
    wide = _item("sku-102", "34-inch monitor", "monitor", 529.5)
    traits = {"name": "Ben Brandt", "email": "ben@mail.example", "plan": "plus"}
    return [
        _call("ben-1", now, days=9, kind="identify", user="ben", traits=traits),
        _view("ben-2", now, days=9, user="ben", item=small),
        _view("ben-3", now, days=1, user="ben", item=wide),
        _cart("ben-4", now, days=1, minutes=-5, user="ben", item=wide),
    ]


def _cem(now: datetime) -> list[Message]:
    traits = {"name": "Cem Kaya", "email": "cem@mail.example", "plan": "free"}
    desk = _item("sku-401", "Standing desk", "desk", 689.0)
    return [
        _call("cem-1", now, days=2, kind="identify", user="cem", traits=traits),
        _view("cem-2", now, days=2, user="cem", item=desk),
    ]


def _call(
    id_: str,
    now: datetime,
    *,
    days: int,
    user: str,
    minutes: int = 0,
    kind: str = "track",
    **fields: Any,
) -> Message:
    at = now - timedelta(days=days, minutes=minutes)
    return {
        "type": kind,
        "messageId": f"demo-{id_}",
        "userId": user,
        "timestamp": at,
        **fields,
    }


def _view(id_: str, now: datetime, *, days: int, user: str, item: dict[str, Any]) -> Message:
    properties = {"product_id": item["product_id"], "name": item["name"], "category": item["type"]}
    return _call(id_, now, days=days, user=user, event="product_viewed", properties=properties)


def _cart(
    id_: str, now: datetime, *, days: int, user: str, item: dict[str, Any], minutes: int = 0
) -> Message:
    properties = {
        "product_id": item["product_id"],
        "name": item["name"],
        "category": item["type"],
        "price": item["price"],
        "quantity": 1,
    }
    return _call(
        id_,
        now,
        days=days,
        minutes=minutes,
        user=user,
        event="added_to_cart",
        properties=properties,
    )


def _order(
    id_: str,
    now: datetime,
    *,
    days: int,
    user: str,
    items: list[dict[str, Any]],
    minutes: int = 0,
) -> Message:
    total = sum(item["price"] for item in items)
    properties = {"order_id": id_, "total": total, "currency": "EUR", "items": items}
    return _call(
        id_,
        now,
        days=days,
        minutes=minutes,
        user=user,
        event="order_completed",
        properties=properties,
    )


def _item(sku: str, name: str, category: str, price: float) -> dict[str, Any]:
    return {"product_id": sku, "name": name, "type": category, "price": price, "quantity": 1}
