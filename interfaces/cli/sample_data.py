"""Deterministic sample customers of a small shop, for `foldline demo`.

A profile's messages depend only on its first day and its number on that day, never on the current time.  A later
call therefore returns the same messages with the same ids, plus those of the days since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from random import Random
from typing import Any

Message = dict[str, Any]

DAYS = 30
NEW_PROFILES_PER_DAY = 10

_FIRST = ("Ada", "Ben", "Chloé", "Elif", "Farid", "Grace", "Hugo", "Ines", "Kofi", "Nora", "Priya")
_LAST = ("Almeida", "Brandt", "Costa", "Dubois", "Eriksen", "Haddad", "Ito", "Kaya", "Moreau")
_CITIES = ("Berlin", "Lisbon", "Łódź", "Malmö", "Izmir", "Nairobi", "Osaka", "Toronto")
_PLANS = ("free", "free", "plus", "pro")
_SOURCES = ("search", "newsletter", "social", "direct", "partner")
_PRODUCTS = (
    ("sku-101", "27-inch monitor", "monitor", 249.0),
    ("sku-102", "34-inch monitor", "monitor", 529.5),
    ("sku-201", "Mechanical keyboard", "keyboard", 119.0),
    ("sku-202", "Quiet keyboard", "keyboard", 59.9),
    ("sku-301", "Trackball", "mouse", 74.25),
    ("sku-302", "Travel mouse", "mouse", 24.9),
    ("sku-401", "Standing desk", "desk", 689.0),
    ("sku-501", "Desk lamp", "lamp", 45.0),
)
_CHANNELS = ("email", "email", "push", "whatsapp")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class _SampleProfile:
    key: str
    rng: Random
    first_day: date
    name: str
    anonymous_id: str
    mobile: bool
    signup_visit: int | None
    """Ordinal of the visit in which the customer signs up; None if there is none."""


def sample_messages(now: datetime) -> list[Message]:
    """Return the messages of the last 30 days, oldest first, in Segment's layout."""
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=age) for age in range(DAYS)]
    messages = [
        message
        for day in days
        for number in range(NEW_PROFILES_PER_DAY)
        for message in _profile_messages(_sample_profile(day, number))
        if message["timestamp"] <= now
    ]
    messages.sort(key=lambda message: (message["timestamp"], message["messageId"]))
    return messages


def _sample_profile(day: date, number: int) -> _SampleProfile:
    key = f"{day:%Y%m%d}-{number}"
    rng = Random(f"foldline demo {key}")  # noqa: S311 - must be reproducible, not secret
    return _SampleProfile(
        key=key,
        rng=rng,
        first_day=day,
        name=f"{rng.choice(_FIRST)} {rng.choice(_LAST)}",
        anonymous_id=f"{rng.getrandbits(128):032x}",
        mobile=rng.random() < 0.3,
        signup_visit=rng.choices((0, 1, 2, None), (4, 2, 1, 3))[0],
    )


def _profile_messages(profile: _SampleProfile) -> list[Message]:
    """Return a profile's messages over 30 days: visits, and the campaigns sent to it."""
    visits = [0, *(day for day in range(1, DAYS) if profile.rng.random() < 2 / (day + 3))]
    messages: list[Message] = []
    signed_up: date | None = None
    for visit, days in enumerate(visits):
        day = profile.first_day + timedelta(days=days)
        signs_up = visit == profile.signup_visit
        messages += _visit_messages(
            profile, visit, day, known=signed_up is not None, signs_up=signs_up
        )
        signed_up = signed_up or (day if signs_up else None)
    if signed_up is not None:
        for week in range(1, 5):
            messages += _campaign_messages(
                profile, signed_up + timedelta(days=7 * week - signed_up.weekday())
            )
    numbers = count()
    return [message | {"messageId": f"demo-{profile.key}-{next(numbers)}"} for message in messages]


def _visit_messages(
    profile: _SampleProfile, visit: int, day: date, *, known: bool, signs_up: bool
) -> Iterator[Message]:
    rng = profile.rng
    at = datetime.combine(day, time(rng.randint(6, 22), rng.randint(0, 59)), UTC)
    session = f"{profile.key}-s{visit}"

    def call(kind: str, **facts: Any) -> Message:
        nonlocal at
        at += rng.randint(5, 90) * _SECOND
        user = {"userId": _user_id(profile)} if known else {}
        return _base_message(profile, session, kind, at, user | facts)

    view = "screen" if profile.mobile else "page"
    yield call(view, name="Home", properties=_page_properties(profile, "/", rng.choice(_SOURCES)))
    cart: list[tuple[str, str, str, float]] = []
    for product in rng.sample(_PRODUCTS, rng.randint(1, 3)):
        sku, name, category, price = product
        yield call(
            view, name=name, properties=_page_properties(profile, f"/{category}/{sku}", None)
        )
        product_properties = {"product_id": sku, "name": name, "category": category, "price": price}
        yield call("track", event="product_viewed", properties=product_properties)
        if rng.random() < 0.3:
            cart.append(product)
            yield call(
                "track", event="added_to_cart", properties=product_properties | {"quantity": 1}
            )
    if signs_up:
        known = True
        yield call("identify", traits=_signup_traits(profile, day))
    if cart and known and rng.random() < 0.6:
        yield call(
            "track", event="order_completed", properties=_order_properties(session, cart, rng)
        )


def _campaign_messages(profile: _SampleProfile, day: date) -> Iterator[Message]:
    rng = profile.rng
    campaign, channel = f"weekly-{day:%G-w%V}", rng.choice(_CHANNELS)
    at = datetime.combine(day, time(9), UTC)
    facts = {
        "campaign_id": campaign,
        "channel": channel,
        "template_id": "weekly-picks",
        "message_id": f"{campaign}-{profile.key}",
    }
    for name, probability in (
        ("message_sent", 1.0),
        ("message_delivered", 0.97),
        ("message_read", 0.5),
        ("link_clicked", 0.35),
    ):
        if rng.random() >= probability:
            return
        link = {"url": "https://shop.example/picks"} if name == "link_clicked" else {}
        yield {
            "type": "track",
            "event": name,
            "userId": _user_id(profile),
            "timestamp": at,
            "properties": facts | link,
            "context": {"library": {"name": "messaging-node"}},
        }
        at += rng.randint(2, 7200) * _SECOND


def _base_message(
    profile: _SampleProfile, session: str, kind: str, at: datetime, facts: dict[str, Any]
) -> Message:
    library = "analytics-ios" if profile.mobile else "analytics.js"
    return {
        "type": kind,
        "anonymousId": profile.anonymous_id,
        "timestamp": at,
        "context": {"sessionId": session, "library": {"name": library}},
        **facts,
    }


def _page_properties(profile: _SampleProfile, path: str, referrer: str | None) -> dict[str, Any]:
    if profile.mobile:
        return {"path": path}
    return {"url": f"https://shop.example{path}", "path": path, "referrer": referrer}


def _order_properties(
    session: str, cart: list[tuple[str, str, str, float]], rng: Random
) -> dict[str, Any]:
    items = []
    cents = 0
    for sku, name, category, price in cart:
        quantity = rng.choice((1, 1, 1, 2))
        cents += round(100 * price) * quantity
        items.append(
            {
                "product_id": sku,
                "name": name,
                "type": category,
                "price": price,
                "quantity": quantity,
            }
        )
    return {
        "order_id": f"order-{session}",
        "total": cents / 100,
        "currency": "EUR",
        "coupon": rng.choice((None, None, "WELCOME10")),
        "items": items,
        "shipping": {
            "method": rng.choice(("post", "courier")),
            "express": rng.random() < 0.2,
        },
    }


def _signup_traits(profile: _SampleProfile, day: date) -> dict[str, Any]:
    return {
        "name": profile.name,
        "email": f"{_user_id(profile)}@mail.example",
        "city": profile.rng.choice(_CITIES),
        "plan": profile.rng.choice(_PLANS),
        "signed_up": f"{day}",
    }


def _user_id(profile: _SampleProfile) -> str:
    return f"customer-{profile.key}"
