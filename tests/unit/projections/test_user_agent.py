from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.kit import user_agent
from projections.kit.user_agent import DEVICE_TYPES, UserAgentClient

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"


@pytest.mark.parametrize(
    ("text", "client"),
    [
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36",
            UserAgentClient("desktop", "Chrome", "126.0.0.0", "Windows 10"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
            UserAgentClient("desktop", "Firefox", "115.0", "Linux"),
        ),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
                " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
            ),
            UserAgentClient("mobile", "Mobile Safari", "17.5", "iOS 17.5"),
        ),
        (
            (
                "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15"
                " (KHTML, like Gecko) Version/16.0 Mobile/15E148 Safari/604.1"
            ),
            UserAgentClient("tablet", "Mobile Safari", "16.0", "iOS 16.0"),
        ),
    ],
)
def test_browser_and_device_are_read_from_the_user_agent(text, client):
    assert user_agent.parse_user_agent(text) == client


@pytest.mark.parametrize(
    ("text", "device_type"),
    [
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36", "mobile"),
        (f"Mozilla/5.0 (Linux; Android 13; SM-X906C) {CHROME} Safari/537.36", "tablet"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "spider"),
        (f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.5) {CHROME} TV Safari/537.36", "TV"),
        (f"Mozilla/5.0 (Web0S; Linux/SmartTV) {CHROME} Safari/537.36 WebAppManager", "TV"),
        ("Dalvik/2.1.0 (Linux; U; Android 9; AFTMM Build/PS7233)", "TV"),
        ("Roku4640X/DVP-7.70 (297.70E04154A)", "TV"),
        ("Mozilla/5.0 (PlayStation 5/SmartTV) AppleWebKit/605.1.15 (KHTML, like Gecko)", "console"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) {CHROME}", "console"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", "desktop"),
        ("analytics-node/2.3.0", "unknown"),
        ("", "unknown"),
    ],
)
def test_every_device_type_is_recognised(text, device_type):
    assert user_agent.parse_user_agent(text).device_type == device_type


@given(st.text() | st.text("Mozila/5.0 (;Android)").map(lambda it: it * 20))
def test_any_text_can_be_a_user_agent(text):
    assert user_agent.parse_user_agent(text).device_type in DEVICE_TYPES
