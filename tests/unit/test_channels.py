"""Channel events: every channel, step and outcome of the vendors that define them."""

from __future__ import annotations

import pytest

from domain.events import channels
from domain.events.channels import CHANNEL_OUTCOMES, CHANNEL_STEPS, ChannelEvent

INFOBIP = {
    "Email": ["Sent", "Delivered", "Opened", "Clicked", "Unsubscribed", "Complained"],
    "Mobile push": ["Sent", "Delivered", "Opened"],
    "Push": ["Sent", "Delivered", "Opened"],
    "In-app message": ["Sent", "Delivered", "Seen", "Clicked"],
    "SMS": ["Sent", "Delivered", "Clicked"],
    "WhatsApp": ["Sent", "Delivered", "Opened", "Clicked"],
    "Viber": ["Sent", "Delivered", "Opened", "Clicked"],
    "Messenger": ["Sent", "Delivered", "Opened", "Clicked"],
    "LINE": ["Sent", "Link Clicked"],
    "MMS": ["Sent", "Delivered"],
}
OTHER_EVENTS = {
    "Personalize": ("mobile_app", "personalized"),
    "Depersonalize": ("mobile_app", "depersonalized"),
    "Install": ("mobile_app", "installed"),
    "Uninstall": ("mobile_app", "uninstalled"),
    "App Launch": ("mobile_app", "launched"),
    "Voice Call Initiated": ("voice", "sent"),
    "Voice Call Answered": ("voice", "delivered"),
    "Voice Call Not Answered": ("voice", "not_answered"),
    "Voice Busy": ("voice", "busy"),
    "Voice Call Answered By Machine": ("voice", "answered_by_machine"),
    "Voice Inbound Call Answered": ("voice", "inbound_answered"),
    "Call Forwarded Busy": ("voice", "forwarded_busy"),
    "Call Forwarded Not Answered": ("voice", "forwarded_not_answered"),
    "Voice IVR Played": ("voice", "read"),
    "Voice IVR Information collected": ("voice", "clicked"),
    "Voice User Hang Up": ("voice", "hung_up"),
    "Push Notification Received": ("push", "delivered"),
    "Push Notification Tapped": ("push", "clicked"),
    "Push Notification Bounced": ("push", "bounced"),
    "Email Link Clicked": ("email", "clicked"),
    "Email Marked as Spam": ("email", "complained"),
    "Email Bounced": ("email", "bounced"),
    "Unsubscribed": ("email", "unsubscribed"),
    "Application Installed": ("mobile_app", "installed"),
}
STEP_OF_WORD = {"Opened": "read", "Seen": "read", "Link Clicked": "clicked"}


@pytest.mark.parametrize(
    ("channel", "word"),
    [(channel, word) for channel, words in INFOBIP.items() for word in words],
)
def test_every_event_of_infobips_table_is_a_step_or_an_outcome(channel, word) -> None:
    canonical = {"Mobile push": "push", "In-app message": "in_app"}.get(channel, channel.lower())
    event = channels.parse_channel_event(f"{channel} {word}", {})
    assert event == ChannelEvent(canonical, STEP_OF_WORD.get(word, word.lower()), None, None, None)
    assert event.step in (*CHANNEL_STEPS, *CHANNEL_OUTCOMES)
    assert channels.parse_channel_event(f"{channel}_{word}".lower().replace(" ", "_"), {}) == event


@pytest.mark.parametrize(("name", "channel_and_step"), OTHER_EVENTS.items())
def test_so_is_every_event_with_another_name(name, channel_and_step) -> None:
    event = channels.parse_channel_event(name, {})
    assert event is not None
    assert (event.channel, event.step) == channel_and_step
    assert event.step in (*CHANNEL_STEPS, *CHANNEL_OUTCOMES)


def test_botbats_events_have_the_channel_in_a_property() -> None:
    properties = {"channel": "WhatsApp", "campaign_id": 7, "template_id": "t", "message_id": "m"}
    for name, step in zip(
        ("message_sent", "message_delivered", "message_read", "link_clicked"),
        CHANNEL_STEPS,
        strict=True,
    ):
        assert channels.parse_channel_event(name, properties) == ChannelEvent(
            "whatsapp", step, "7", "t", "m"
        )


@pytest.mark.parametrize(
    ("properties", "channel"),
    [
        ({"deviceId": "d"}, "push"),
        ({"recipient": "a@example.com"}, "email"),
        ({"channel": "in-app"}, "in_app"),
        ({"channel": "Pigeon Post"}, "pigeon post"),
        ({}, "unknown"),
    ],
)
def test_a_delivery_report_has_the_step_as_a_metric(properties, channel) -> None:
    report = {"metric": "opened", "deliveryId": "d-1"} | properties
    assert channels.parse_channel_event("Report Delivery Event", report) == ChannelEvent(
        channel, "read", None, None, "d-1"
    )
    assert channels.parse_channel_event("Report Delivery Event", {"metric": ["odd"]}) is None


def test_a_campaign_may_be_an_object() -> None:
    event = channels.parse_channel_event(
        "Push Notification Received", {"campaign": {"name": "spring"}}
    )
    assert event is not None
    assert event.campaign == "spring"


@pytest.mark.parametrize("name", ["purchase", "sent", "Order Delivered", "page_view", ""])
def test_other_events_are_no_channel_events(name) -> None:
    assert channels.parse_channel_event(name, {"channel": "email", "message_id": "m"}) is None


def test_outcomes_fit_the_bits_of_a_column() -> None:
    assert len(CHANNEL_OUTCOMES) < 31
    assert len({*CHANNEL_OUTCOMES, *CHANNEL_STEPS}) == len(CHANNEL_OUTCOMES) + len(CHANNEL_STEPS)
    assert {step for _, step in channels.CHANNEL_EVENTS.values()} <= {
        *CHANNEL_OUTCOMES,
        *CHANNEL_STEPS,
    }
