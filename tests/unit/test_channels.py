"""Which events tell of messages: every channel and outcome of those who define them."""

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
ALONE = {
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
MEANT = {"Opened": "read", "Seen": "read", "Link Clicked": "clicked"}


@pytest.mark.parametrize(
    ("channel", "word"), [(it, w) for it, words in INFOBIP.items() for w in words]
)
def test_every_event_of_infobips_table_is_a_step_or_an_outcome(channel, word) -> None:
    known = {"Mobile push": "push", "In-app message": "in_app"}.get(channel, channel.lower())
    touch = channels.parse_channel_event(f"{channel} {word}", {})
    assert touch == ChannelEvent(known, MEANT.get(word, word.lower()), None, None, None)
    assert touch.step in (*CHANNEL_STEPS, *CHANNEL_OUTCOMES)
    assert channels.parse_channel_event(f"{channel}_{word}".lower().replace(" ", "_"), {}) == touch


@pytest.mark.parametrize(("name", "meant"), ALONE.items())
def test_so_is_every_one_with_a_name_of_its_own(name, meant) -> None:
    touch = channels.parse_channel_event(name, {})
    assert touch is not None
    assert (touch.channel, touch.step) == meant
    assert touch.step in (*CHANNEL_STEPS, *CHANNEL_OUTCOMES)


def test_botbats_events_say_the_channel_in_a_property() -> None:
    said = {"channel": "WhatsApp", "campaign_id": 7, "template_id": "t", "message_id": "m"}
    for name, step in zip(
        ("message_sent", "message_delivered", "message_read", "link_clicked"),
        CHANNEL_STEPS,
        strict=True,
    ):
        assert channels.parse_channel_event(name, said) == ChannelEvent(
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
def test_a_delivery_report_says_the_step_as_a_metric(properties, channel) -> None:
    said = {"metric": "opened", "deliveryId": "d-1"} | properties
    assert channels.parse_channel_event("Report Delivery Event", said) == ChannelEvent(
        channel, "read", None, None, "d-1"
    )
    assert channels.parse_channel_event("Report Delivery Event", {"metric": ["odd"]}) is None


def test_a_campaign_may_be_an_object() -> None:
    touch = channels.parse_channel_event(
        "Push Notification Received", {"campaign": {"name": "spring"}}
    )
    assert touch is not None
    assert touch.campaign == "spring"


@pytest.mark.parametrize("name", ["purchase", "sent", "Order Delivered", "page_view", ""])
def test_other_events_are_about_no_message(name) -> None:
    assert channels.parse_channel_event(name, {"channel": "email", "message_id": "m"}) is None


def test_outcomes_fit_the_bits_of_a_column() -> None:
    assert len(CHANNEL_OUTCOMES) < 31
    assert len({*CHANNEL_OUTCOMES, *CHANNEL_STEPS}) == len(CHANNEL_OUTCOMES) + len(CHANNEL_STEPS)
    assert {step for _, step in channels.CHANNEL_EVENTS.values()} <= {
        *CHANNEL_OUTCOMES,
        *CHANNEL_STEPS,
    }
