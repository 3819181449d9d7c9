"""Channel events: which event reports which step of a message, in which channel.

The tables below define them.  Names are compared by their letters and digits alone, without case:
`Email Delivered`, `email_delivered` and `emailDelivered` are equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from domain.events.payload import storable_name

CHANNEL_STEPS = ("sent", "delivered", "read", "clicked")
"""The steps of a message, in order: each implies those before.

Read models number these, then the outcomes.
"""

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
"""Other outcomes of a message.  Append new ones at the end: read models number them."""

UNKNOWN_CHANNEL = "unknown"
"""The channel of a message whose event does not name one."""

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
"""The channels, and their spellings in event names and in the property `channel`."""

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
"""Steps by the word that follows the channel in an event's name, or is a delivery report's metric."""

CHANNEL_EVENTS: Mapping[str, tuple[str | None, str]] = {
    # the one of Segment's e-mail events that does not name the channel
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
    # Segment's names of the same events
    "Application Installed": ("mobile_app", "installed"),
    "Application Uninstalled": ("mobile_app", "uninstalled"),
    "Application Opened": ("mobile_app", "launched"),
    # Infobip: voice.  An answered call is delivered, played IVR is read, a pressed key is a click.
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
"""Channel events: the channel (None if a property names it) and the step or outcome."""

DELIVERY_REPORT_EVENT = "Report Delivery Event"
"""Customer.io's event about a message; its property `metric` names the step."""

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
    """The step of a sent message that an event reports."""

    channel: str
    step: str
    """One of `CHANNEL_STEPS` or `CHANNEL_OUTCOMES`."""

    campaign: str | None
    template: str | None
    message: str | None
    """The message's own id; None if the event does not name the message."""


def parse_channel_event(name: str, properties: Mapping[str, Any]) -> ChannelEvent | None:
    """Returns the step that an event reports; None if it is no channel event.

    `link_clicked` is one only if it names a message or a campaign; otherwise it is a click on a website.
    """
    match = _lookup_event(name)
    if match is None:
        return None
    channel, step = match
    if step is None:
        step = _STEP_OF_SPELLING.get(_alphanumerics(str(properties.get("metric"))[:100]))
        if step is None:
            return None
    campaign = _first_id(properties, CAMPAIGN_PROPERTIES)
    message = _first_id(properties, MESSAGE_ID_PROPERTIES)
    if _alphanumerics(name) == _LINK_CLICKED and campaign is None and message is None:
        return None
    channel = channel or _channel_from_properties(properties)
    template = _first_id(properties, TEMPLATE_PROPERTIES)
    return ChannelEvent(channel, step, campaign, template, message)


def canonical_channel(text: str) -> str:
    """Returns the stored name of a channel, for any of its spellings."""
    return (
        _CHANNEL_OF_SPELLING.get(_alphanumerics(text))
        or storable_name(text.strip().lower())
        or UNKNOWN_CHANNEL
    )


def _alphanumerics(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_LINK_CLICKED, _REPORT = _alphanumerics("link_clicked"), _alphanumerics(DELIVERY_REPORT_EVENT)
_STEP_OF_EVENT = {_alphanumerics(name): event for name, event in CHANNEL_EVENTS.items()}
_STEP_OF_SPELLING = {_alphanumerics(word): step for word, step in STEP_SPELLINGS.items()}
_CHANNEL_OF_SPELLING = {
    _alphanumerics(spelling): name
    for name, spellings in CHANNEL_SPELLINGS.items()
    for spelling in (name, *spellings)
}


@lru_cache(maxsize=65_536)
def _lookup_event(name: str) -> tuple[str | None, str | None] | None:
    letters = _alphanumerics(name)
    return (None, None) if letters == _REPORT else _STEP_OF_EVENT.get(letters)


def _first_id(properties: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Returns the first value of these properties; of an object its id or name."""
    for name in names:
        value = properties.get(name)
        if isinstance(value, dict):
            value = value.get("id") or value.get("name")
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            return storable_name(str(value))
    return None


def _channel_from_properties(properties: Mapping[str, Any]) -> str:
    channel = properties.get("channel")
    if isinstance(channel, str) and channel.strip():
        return canonical_channel(channel)
    if any(properties.get(name) for name in _DEVICE_PROPERTIES):
        return "push"
    recipient = properties.get("recipient")
    return "email" if isinstance(recipient, str) and "@" in recipient else UNKNOWN_CHANNEL
