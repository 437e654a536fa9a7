"""Kinds of settings: each turns the text of an environment variable into a value, or refuses the text.

No refusal repeats the text: a password may be in any variable, by its meaning or by mistake.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from sealward.error import SealwardError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PORT: Final = 65535
MAX_COUNT_DIGITS: Final = 5
MAX_SOCKET_PATH: Final = 107
YEAR: Final = 365 * 86400
_HOST: Final = r"(?:[\w.%-]*|\[[\w.:%]+\])(?::\d{1,5})?"
_HOSTS: Final = re.compile(f"{_HOST}(?:,{_HOST})*")
"""Hosts with or without ports, as in `db1.example:5432,db2.example`; none means a socket."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingRefused(SealwardError, ValueError):
    """A setting has a value that cannot be used."""

    code = "settings.refused"


def text(name: str, value: str) -> str:
    """Return the text as it is."""
    del name
    return value


def path(name: str, value: str) -> Path:
    """Return the path of a file or folder; a relative path begins at the working directory."""
    del name
    return Path(value)


def file(name: str, value: str) -> Path:
    """Return the path of a file that must be there when a process starts: see `files`."""
    return path(name, value)


def paths(name: str, value: str) -> tuple[Path, ...]:
    """Return the paths of a list with colons, as in PATH. An empty text between two colons is skipped."""
    del name
    return tuple(Path(one) for one in value.split(":") if one)


def words(name: str, value: str) -> tuple[str, ...]:
    """Return the words of a list with commas or spaces."""
    del name
    return tuple(value.replace(",", " ").split())


def one_of(*choices: str) -> Callable[[str, str], str]:
    """Return the kind of a setting that has a few possible values."""

    def read(name: str, value: str) -> str:
        if value not in choices:
            raise SettingRefused(f"{name}: give one of {', '.join(choices)}")
        return value

    return read


def yes_or_no(name: str, value: str) -> bool:
    """Return whether the text is `yes`."""
    return one_of("no", "yes")(name, value) == "yes"


def address(name: str, value: str) -> tuple[str, int]:
    """Return the IP address and the port of "127.0.0.1:9362" or "[::1]:9362"."""
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = ""
    if not host or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise SettingRefused(f"{name}: give an IP address and a port, as 127.0.0.1:9362")
    return host, int(port)


def seconds(name: str, value: str) -> float:
    """Return a duration in seconds: more than 0, at most a year."""
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 < found <= YEAR:
        raise SettingRefused(f"{name}: give seconds, more than 0 and at most {YEAR}")
    return found


def seconds_or_none(name: str, value: str) -> float:
    """Return a duration in seconds, at most a year, or 0."""
    return 0.0 if value == "0" else seconds(name, value)


def count(name: str, value: str) -> int:
    """Return a whole number from 1 to 99999."""
    if not value.isascii() or not value.isdigit() or len(value) > MAX_COUNT_DIGITS or int(value) == 0:
        raise SettingRefused(f"{name}: give a whole number from 1 to 99999")
    return int(value)


def networks(name: str, value: str) -> tuple[Network, ...]:
    """Return the networks of a list with commas or spaces. An address is a network of one address."""
    try:
        return tuple(ipaddress.ip_network(word) for word in words(name, value))
    except ValueError:
        message = f"{name}: give addresses or networks, as 192.0.2.7 or 2001:db8::/64"
        raise SettingRefused(message) from None


def url(name: str, value: str) -> str:
    """Return an http or https URL, without a slash at its end. The URL holds no user and no password."""
    parts = _parts(name, value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise SettingRefused(f"{name}: give a URL, as https://sealward.example:9362")
    if "@" in parts.netloc:
        raise SettingRefused(f"{name}: give a URL without user and password; clients see it")
    return value.rstrip("/")


def server_url(*schemes: str, example: str) -> Callable[[str, str], str]:
    """Return the kind of a URL that names a server, a user and a password: `SCHEME://USER:PASSWORD@HOST`.

    Special characters of user and password must be escaped. Otherwise the part of the password behind an @
    would be looked up as the name of a host, and be shown in errors.
    """

    def read(name: str, value: str) -> str:
        parts = _parts(name, value)
        if parts.scheme not in schemes or "://" not in value:
            taken = " or ".join(f"{one}://" for one in schemes)
            raise SettingRefused(f"{name}: it must begin with {taken}, as {example}")
        host = parts.netloc.rpartition("@")[2]
        if (
            value.count("@") > 1
            or "@" in parts.path + parts.query
            or parts.fragment
            or not _HOSTS.match(host)
        ):
            raise SettingRefused(f"{name}: write @ : / ? # % in user and password as %40 %3A %2F %3F %23 %25")
        return value

    return read


def libvirt_uri(name: str, value: str) -> str:
    """Return a URI of libvirt's drivers `qemu` and `test`: https://libvirt.org/uri.html."""
    parts = _parts(name, value)
    driver = parts.scheme.partition("+")[0]
    if driver not in ("qemu", "test") or "://" not in value:
        raise SettingRefused(f"{name}: it must begin with qemu or test, as qemu:///system")
    if ":" in parts.netloc.rpartition("@")[0]:
        raise SettingRefused(f"{name}: give a URI without a password; libvirt reads auth.conf")
    return value


def socket_path(name: str, value: str) -> Path:
    """Return the path of a socket: at most 107 bytes (unix(7), sun_path)."""
    if len(value.encode()) > MAX_SOCKET_PATH:
        raise SettingRefused(f"{name}: the path of a socket has at most {MAX_SOCKET_PATH} bytes")
    return Path(value)


def _parts(name: str, value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:
        raise SettingRefused(f"{name}: this is no URL") from None
