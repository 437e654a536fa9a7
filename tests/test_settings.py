"""Settings come from the environment, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealward.settings import Keystone, SettingRefused, Settings
from sealward.settings.declared import declared_by
from sealward.settings.names import CLIENTS, TOOLS
from stack.tables import TABLES, written


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


KEYSTONE = {
    "SEALWARD_AUTH": "keystone",
    "SEALWARD_KEYSTONE_AUTH_URL": "http://k/v3",
    "SEALWARD_KEYSTONE_PASSWORD": "p",
}


def test_keystone_needs_to_be_found_and_a_user_to_ask_it() -> None:
    """Everything else has defaults; a password can be in a file, and all of it in one INI file."""
    found = Settings.from_env(KEYSTONE | {"SEALWARD_KEYSTONE_MEMCACHED": "a:1, b:2"}).keystone

    assert found == Keystone(auth_url="http://k/v3", password="p", memcached=("a:1", "b:2"))
    assert "password" not in repr(found)
    assert Settings.from_env({}).keystone is None
    assert Settings.from_env(KEYSTONE | {"SEALWARD_AUTH": "local"}).keystone is None
    assert Settings.from_env({"SEALWARD_AUTH": "keystone", "SEALWARD_KEYSTONE_CONFIG_FILE": "k.ini"}).keystone


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEALWARD_AUTH", "ldap"),
        ("SEALWARD_KEYSTONE_AUTH_URL", ""),
        ("SEALWARD_KEYSTONE_PASSWORD", ""),
        ("SEALWARD_KEYSTONE_PASSWORD_FILE", "/nowhere"),
        ("SEALWARD_KEYSTONE_CACHE_TIME", "-1"),
    ],
)
def test_keystone_settings_that_cannot_be_used_are_refused(name: str, value: str) -> None:
    """The message names the variable, and never holds the password."""
    with pytest.raises(SettingRefused, match=name.removesuffix("_FILE").removeprefix("SEALWARD_KEYSTONE")):
        Settings.from_env(KEYSTONE | {name: value})


def test_folders_are_separated_as_in_path() -> None:
    """Colons, as in PATH; nothing between two of them is no folder."""
    env = {"SEALWARD_FIRMWARE_DIRS": "/usr/share/OVMF::/usr/share/seabios"}

    assert Settings.from_env(env).firmware_dirs == (Path("/usr/share/OVMF"), Path("/usr/share/seabios"))
    assert Settings.from_env({}).firmware_dirs == ()


def test_files_are_measured_or_not_or_by_the_hypervisor() -> None:
    """Another word is refused by name."""
    assert Settings.from_env({}).files == "auto"
    assert Settings.from_env({"SEALWARD_FILES": "no"}).files == "no"
    with pytest.raises(SettingRefused, match="SEALWARD_FILES"):
        Settings.from_env({"SEALWARD_FILES": "perhaps"})


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.name)
def test_the_pages_say_what_the_code_declares(page: Path) -> None:
    """`make schemas` writes the tables; a setting that was declared and not written fails here."""
    assert page.read_text(encoding="utf-8") == written(page)


def test_a_process_reads_no_variable_that_is_not_declared() -> None:
    """Every SEALWARD_ variable that the package names is declared, but those of clients and the gate."""
    names = {one.name for group in (Settings, Keystone) for one in declared_by(group)}
    source = "".join(path.read_text(encoding="utf-8") for path in Path("sealward").rglob("*.py"))
    named = set(re.findall(r'"(SEALWARD_[A-Z_]*[A-Z])"', source))

    assert names < named
    assert named - names == {*CLIENTS, *TOOLS}
