"""Settings: precedence of flag, environment and default, and errors that name the setting."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.settings import SETTINGS, InvalidSetting, Settings, unknown_variables


def test_without_settings_the_documented_defaults_apply():
    settings = Settings.from_environment({})

    assert settings.dsn is None
    assert settings.home.name == "foldline"
    assert settings.home.is_absolute()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.log_level == "info"
    assert (settings.max_message_bytes, settings.max_batch_bytes) == (32_768, 512_000)
    assert settings.max_batch_messages == 2_500
    assert (settings.flush_events, settings.queue_events) == (2_000, 20_000)


def test_the_definitions_and_the_settings_have_the_same_fields():
    assert [setting.field for setting in SETTINGS] == [field.name for field in fields(Settings)]
    for column in ("env", "flag", "help"):
        values = [getattr(setting, column) for setting in SETTINGS]
        assert len(set(values)) == len(values)


def test_published_environment_names_are_kept():
    assert {"FOLDLINE_DSN", "FOLDLINE_HOME", "FOLDLINE_HOST", "FOLDLINE_PORT"} <= {
        setting.env for setting in SETTINGS
    }


def test_the_environment_is_read(tmp_path):
    settings = Settings.from_environment(
        {
            "FOLDLINE_DSN": "postgresql://ledger@db/foldline",
            "FOLDLINE_HOME": str(tmp_path),
            "FOLDLINE_HOST": "0.0.0.0",
            "FOLDLINE_PORT": "9000",
            "FOLDLINE_LOG_LEVEL": "DEBUG",
            "UNRELATED": "x",
        }
    )

    assert settings.dsn == "postgresql://ledger@db/foldline"
    assert settings.home == tmp_path
    assert (settings.host, settings.port, settings.log_level) == ("0.0.0.0", 9000, "debug")


def test_an_empty_variable_counts_as_not_set():
    settings = Settings.from_environment(
        {"FOLDLINE_PORT": "", "FOLDLINE_DSN": " ", "FOLDLINE_HOME": ""}
    )

    assert settings == Settings.from_environment({})


def test_a_flag_overrides_the_environment_and_an_absent_flag_does_not():
    environ = {"FOLDLINE_PORT": "9000", "FOLDLINE_HOST": "10.0.0.1"}

    settings = Settings.from_environment(environ, port=0, host=None)

    assert (settings.port, settings.host) == (0, "10.0.0.1")


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("FOLDLINE_PORT", "9001")

    assert Settings.from_environment().port == 9001


def test_a_home_may_start_with_a_tilde_and_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert Settings.from_environment({"FOLDLINE_HOME": "~/data"}).home == tmp_path / "data"
    assert Settings.from_environment({"FOLDLINE_HOME": "data"}).home == tmp_path / "data"
    assert Settings.from_environment({}, home=Path("data")).home == tmp_path / "data"


def test_a_home_that_is_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(
        InvalidSetting, match=r"FOLDLINE_HOME must be a folder; .* links form a loop"
    ):
        Settings.from_environment({"FOLDLINE_HOME": str(tmp_path / "loop" / "home")})


def test_a_variable_that_is_no_setting_is_named_with_the_one_that_was_meant():
    assert unknown_variables({setting.env: "" for setting in SETTINGS} | {"PATH": "/bin"}) == []
    assert unknown_variables({"FOLDLINE_TEST_DSN": "", "FOLDLINE_DB_PASSWORD": ""}) == []
    near, far = unknown_variables({"FOLDLINE_PROT": "81", "FOLDLINE_COLOUR_SCHEME_OF_X": "red"})
    assert near.startswith(
        "FOLDLINE_COLOUR_SCHEME_OF_X is not a setting, and is ignored; the settings"
    )
    assert far == "FOLDLINE_PROT is not a setting, and is ignored; did you mean FOLDLINE_PORT?"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"FOLDLINE_PORT": "http"},
            "FOLDLINE_PORT must be a whole number from 0 to 65535, not 'http'",
        ),
        (
            {"FOLDLINE_PORT": "65536"},
            "FOLDLINE_PORT must be a whole number from 0 to 65535, not '65536'",
        ),
        (
            {"FOLDLINE_WORKERS": "0"},
            "FOLDLINE_WORKERS must be a whole number from 1 to 64, not '0'",
        ),
        (
            {"FOLDLINE_WORKERS": "1.5"},
            "FOLDLINE_WORKERS must be a whole number from 1 to 64, not '1.5'",
        ),
        (
            {"FOLDLINE_LOG_LEVEL": "loud"},
            "FOLDLINE_LOG_LEVEL must be one of debug, info, warning, error, not 'loud'",
        ),
        (
            {"FOLDLINE_HOME": "~no-such-user/x"},
            "FOLDLINE_HOME must be a folder; the user named in the path has no home",
        ),
        ({"FOLDLINE_HOST": "http://x/"}, "FOLDLINE_HOST must be a host name or an address"),
        (
            {"FOLDLINE_FLUSH_EVENTS": "500", "FOLDLINE_QUEUE_EVENTS": "100"},
            "FOLDLINE_FLUSH_EVENTS (500) is larger than FOLDLINE_QUEUE_EVENTS (100)",
        ),
        (
            {"FOLDLINE_MAX_BATCH_BYTES": "2048"},
            "FOLDLINE_MAX_MESSAGE_BYTES (32768) is larger than FOLDLINE_MAX_BATCH_BYTES (2048)",
        ),
    ],
)
def test_an_invalid_value_is_reported_with_the_name_of_its_variable(environ, message):
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment(environ)

    assert str(caught.value).startswith(message)
    assert caught.value.code == "invalid_setting"


def test_an_invalid_flag_is_reported_with_the_name_of_the_flag():
    with pytest.raises(InvalidSetting, match=r"^--max-batch-messages must be"):
        Settings.from_environment({}, max_batch_messages=0)


def test_an_unknown_override_is_a_programming_error():
    with pytest.raises(TypeError, match="unknown setting: colour"):
        Settings.from_environment({}, colour="red")


def test_a_password_is_neither_in_the_repr_nor_in_an_error():
    settings = Settings.from_environment({"FOLDLINE_DSN": "postgresql://u:hunter2@db/x"})
    with pytest.raises(
        InvalidSetting, match=r"^FOLDLINE_DSN must be a PostgreSQL address"
    ) as caught:
        Settings.from_environment({"FOLDLINE_DSN": "mysql://u:hunter2@db/x"})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_are_immutable():
    with pytest.raises(FrozenInstanceError):
        Settings.from_environment({}).port = 1


@given(name=st.sampled_from([setting.env for setting in SETTINGS]), value=st.text())
def test_any_text_in_any_variable_is_a_value_or_an_invalid_setting(name, value):
    with suppress(InvalidSetting):
        assert isinstance(Settings.from_environment({name: value}), Settings)
