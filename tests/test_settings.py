"""Settings come from the environment, whole or not at all."""

from __future__ import annotations

import pytest

from sealward.settings import SettingRefused, Settings


def test_unset_and_empty_variables_mean_the_defaults() -> None:
    """An empty environment and empty values give the defaults."""
    assert Settings() == Settings.from_env({})
    assert Settings() == Settings.from_env({"SEALWARD_LISTEN": "", "SEALWARD_WAIT": ""})


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf", "1e99"])
def test_a_duration_that_is_none_is_refused_by_name(text: str) -> None:
    """A duration must be a positive number of seconds; the message names the variable."""
    with pytest.raises(SettingRefused, match="SEALWARD_WAIT"):
        Settings.from_env({"SEALWARD_WAIT": text})


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9362", ("127.0.0.1", 9362)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:80", ("0.0.0.0", 80))],  # noqa: S104 - a text to parse
)
def test_an_address_is_an_ip_address_and_a_port(text: str, address: tuple[str, int]) -> None:
    """IPv6 addresses stand in brackets, as in URLs."""
    assert Settings.from_env({"SEALWARD_LISTEN": text}).listen == address


@pytest.mark.parametrize("text", ["9362", "localhost:9362", "::1:", "127.0.0.1:65536", "127.0.0.1:-1", ":80"])
def test_an_address_that_is_none_is_refused_by_name(text: str) -> None:
    """A name could mean several addresses; the message says what to give."""
    with pytest.raises(SettingRefused, match="SEALWARD_LISTEN"):
        Settings.from_env({"SEALWARD_LISTEN": text})
