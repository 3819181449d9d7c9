"""What events say about messages to people: which channel, which step, of which campaign.

The tables here are what there is to know.  Names are compared by their letters and digits alone, in any
case: `Email Delivered`, `email_delivered` and `emailDelivered` are one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from domain.events.payload import storable_name

CHANNEL_STEPS = ("sent", "delivered", "read", "clicked")
"""The main line, in order: each implies those before.  Read models number these and the outcomes after them."""

CHANNEL_OUTCOMES = (
    "unsubscribed",
    "complained",
    "bounced",
    "dropped",
    "failed",
    "deferred",
    "converted",
    # of apps
    "personalized",
    "depersonalized",
    "installed",
    "uninstalled",
    "launched",
    # of calls
    "not_answered",
    "busy",
    "answered_by_machine",
    "inbound_answered",
    "forwarded_busy",
    "forwarded_not_answered",
    "hung_up",
)
"""What else may come of a message.  New ones go to the end: read models number them."""

UNKNOWN_CHANNEL = "unknown"
"""The channel of a message that does not say it."""

CHANNEL_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "e-mail"),
    "push": ("push", "mobile push", "push notification"),
    "web_push": ("web push",),
    "in_app": ("in-app", "in-app message"),
    "sms": ("sms",),
    "mms": ("mms",),
    "rcs": ("rcs",),
    "whatsapp": ("whatsapp",),
    "viber": ("viber",),
    "messenger": ("messenger", "facebook messenger"),
    "telegram": ("telegram",),
    "line": ("line",),
    "mobile_app": ("mobile app",),
    "voice": ("voice", "voice call"),
}
"""The channels, and how events and their property `channel` spell them."""

STEP_SPELLINGS: Mapping[str, str] = {
    "sent": "sent",
    "delivered": "delivered",
    "received": "delivered",
    "opened": "read",
    "open": "read",
    "seen": "read",
    "read": "read",
    "clicked": "clicked",
    "link clicked": "clicked",
    "tapped": "clicked",
    "unsubscribed": "unsubscribed",
    "complained": "complained",
    "spammed": "complained",
    "marked as spam": "complained",
    "bounced": "bounced",
    "dropped": "dropped",
    "failed": "failed",
    "undeliverable": "failed",
    "deferred": "deferred",
    "converted": "converted",
}
"""What follows the channel in an event's name, or stands as the metric of a delivery report."""

CHANNEL_EVENTS: Mapping[str, tuple[str | None, str]] = {
    # Segment's e-mail events have one that does not say the channel
    "Unsubscribed": ("email", "unsubscribed"),
    # Infobip: mobile app
    "Personalize": ("mobile_app", "personalized"),
    "Depersonalize": ("mobile_app", "depersonalized"),
    "Install": ("mobile_app", "installed"),
    "Uninstall": ("mobile_app", "uninstalled"),
    "App Launch": ("mobile_app", "launched"),
    "Mobile App Personalize": ("mobile_app", "personalized"),
    "Mobile App Depersonalize": ("mobile_app", "depersonalized"),
    "Mobile App Install": ("mobile_app", "installed"),
    "Mobile App Uninstall": ("mobile_app", "uninstalled"),
    "Mobile App Launch": ("mobile_app", "launched"),
    # and as Segment calls the same
    "Application Installed": ("mobile_app", "installed"),
    "Application Uninstalled": ("mobile_app", "uninstalled"),
    "Application Opened": ("mobile_app", "launched"),
    # Infobip: voice.  An answer delivers a call, what is played is heard, a key that is pressed is a click.
    "Voice Call Initiated": ("voice", "sent"),
    "Voice Call Answered": ("voice", "delivered"),
    "Voice IVR Played": ("voice", "read"),
    "Voice IVR Information collected": ("voice", "clicked"),
    "Voice Call Not Answered": ("voice", "not_answered"),
    "Voice Busy": ("voice", "busy"),
    "Voice Call Answered By Machine": ("voice", "answered_by_machine"),
    "Voice Inbound Call Answered": ("voice", "inbound_answered"),
    "Call Forwarded Busy": ("voice", "forwarded_busy"),
    "Call Forwarded Not Answered": ("voice", "forwarded_not_answered"),
    "Voice User Hang Up": ("voice", "hung_up"),
    # BotBat: the channel is a property
    **{f"message {word}": (None, step) for word, step in STEP_SPELLINGS.items()},
    "link_clicked": (None, "clicked"),
    **{
        f"{spelling} {word}": (channel, step)
        for channel, spellings in CHANNEL_SPELLINGS.items()
        for spelling in spellings
        for word, step in STEP_SPELLINGS.items()
    },
}
"""Events about messages: the channel, None if a property says it, and the step or other outcome."""

DELIVERY_REPORT_EVENT = "Report Delivery Event"
"""Customer.io's event about a message; its property `metric` says which step."""

CAMPAIGN_PROPERTIES = ("campaign_id", "campaignId", "campaign", "campaign_name", "campaignName")
TEMPLATE_PROPERTIES = ("template_id", "templateId", "template", "template_name", "templateName")
MESSAGE_ID_PROPERTIES = (
    "message_id",
    "messageId",
    "delivery_id",
    "deliveryId",
    "email_id",
    "call_id",
    "callId",
)
_DEVICE_PROPERTIES = ("device_id", "deviceId", "device_token", "deviceToken")


class ChannelEvent(NamedTuple):
    """What an event says about a message."""

    channel: str
    step: str
    """One of STEPS or OUTCOMES."""

    campaign: str | None
    template: str | None
    message: str | None
    """The message's own id; None: the event does not say which message it is about."""


def parse_channel_event(name: str, properties: Mapping[str, Any]) -> ChannelEvent | None:
    """Return what an event says about a message; None if it is about none.

    A link that was clicked is about a message only if it names one, or a campaign: else it is a website's.
    """
    found = _lookup_event(name)
    if found is None:
        return None
    channel, step = found
    if step is None:
        step = _STEP_OF_SPELLING.get(_alphanumerics(str(properties.get("metric"))[:100]))
        if step is None:
            return None
    campaign, message = (
        _first_id(properties, CAMPAIGN_PROPERTIES),
        _first_id(properties, MESSAGE_ID_PROPERTIES),
    )
    if _alphanumerics(name) == _LINK_CLICKED and campaign is None and message is None:
        return None
    said = channel or _channel_from_properties(properties)
    return ChannelEvent(said, step, campaign, _first_id(properties, TEMPLATE_PROPERTIES), message)


def canonical_channel(text: str) -> str:
    """Return a channel as it is kept, however it is spelt."""
    return (
        _CHANNEL_OF_SPELLING.get(_alphanumerics(text))
        or storable_name(text.strip().lower())
        or UNKNOWN_CHANNEL
    )


def _alphanumerics(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_LINK_CLICKED, _REPORT = _alphanumerics("link_clicked"), _alphanumerics(DELIVERY_REPORT_EVENT)
_STEP_OF_EVENT = {_alphanumerics(name): found for name, found in CHANNEL_EVENTS.items()}
_STEP_OF_SPELLING = {_alphanumerics(word): step for word, step in STEP_SPELLINGS.items()}
_CHANNEL_OF_SPELLING = {
    _alphanumerics(it): name for name, spelt in CHANNEL_SPELLINGS.items() for it in (name, *spelt)
}


@lru_cache(maxsize=65_536)
def _lookup_event(name: str) -> tuple[str | None, str | None] | None:
    letters = _alphanumerics(name)
    return (None, None) if letters == _REPORT else _STEP_OF_EVENT.get(letters)


def _first_id(properties: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of these properties that names something; of an object its id, or its name."""
    for name in names:
        said = properties.get(name)
        if isinstance(said, dict):
            said = said.get("id") or said.get("name")
        if isinstance(said, (str, int, float)) and not isinstance(said, bool) and said != "":
            return storable_name(str(said))
    return None


def _channel_from_properties(properties: Mapping[str, Any]) -> str:
    said = properties.get("channel")
    if isinstance(said, str) and said.strip():
        return canonical_channel(said)
    if any(properties.get(it) for it in _DEVICE_PROPERTIES):
        return "push"
    recipient = properties.get("recipient")
    return "email" if isinstance(recipient, str) and "@" in recipient else UNKNOWN_CHANNEL
