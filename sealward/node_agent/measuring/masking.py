"""Hides values that look like secrets, and keeps all other values readable.

libvirt hides the values that it knows to be passwords. Secrets are also in kernel command lines, QEMU
arguments, SMBIOS entries, metadata and URLs (libvirt 9.0, observed). Masking keeps these secrets out of
reports. It guesses by the names of values, and hides a value in case of doubt. Masking is idempotent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sealward.events.findings.marks import MASK

if TYPE_CHECKING:
    from lxml import etree

_WORD = (
    r"(?:password|passwd|passphrase|pwd|admin[_-]?pass|token|secret"
    r"|api[_-]?key|access[_-]?key|private[_-]?key|credential)"
)
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_SECRET_NAME = re.compile(_WORD, re.IGNORECASE)
# Repetitions are bounded, so hostile text costs linear time.
_ASSIGNED = re.compile(
    rf"""({_WORD}[\w-]{{0,40}}["']?\s{{0,8}}[=:]\s{{0,8}})(?:({_QUOTED})|(["']?)[^\s&,;"']+)""", re.IGNORECASE
)
_AUTHORIZATION = re.compile(r"""(\b(?:bearer|basic)\s{1,8})[^\s&,;"']+""", re.IGNORECASE)
_QEMU_SECRET = re.compile(r"""(\bsecret,[^\s"']{0,200}?\bdata=)[^\s&,;"']+""", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/:@?#]{0,256}:)[^\s/?#]+@")
_NAMING_ATTRIBUTES = ("name", "key")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def mask_text(text: str) -> str:
    """Return the text with the secret-looking values in it replaced by MASK."""
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _QEMU_SECRET.sub(rf"\1{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
    return _ASSIGNED.sub(_masked_assignment, text)


def mask_tree(root: etree._Element) -> None:
    """Mask texts and attribute values of a whole tree in place.

    A value is masked as a whole when its attribute or element is named like a secret, or when the name or key
    attribute of its element is like a secret's name (`<entry name="admin_password">`,
    `<qemu:env name="TOKEN" value="..."/>`).
    """
    for element in root.iter():
        _mask_element(element)


def _mask_element(element: etree._Element) -> None:
    named = any(_is_secret_name(element.get(key, "")) for key in _NAMING_ATTRIBUTES)
    for name, value in element.attrib.items():
        whole = _is_hidden(_local(name), value) or (named and _local(name) == "value")
        masked = MASK if whole and value else mask_text(value)
        if masked != value:
            element.set(name, masked)
    if element.text:
        whole = named or _is_secret_name(_local(str(element.tag)))
        element.text = MASK if whole else mask_text(element.text)
    if element.tail:
        element.tail = mask_text(element.tail)


def _is_hidden(name: str, value: str) -> bool:
    """Say whether an attribute is masked as a whole. The UUID of a libvirt secret is not a secret itself."""
    return _is_secret_name(name) and not (name == "secret" and _UUID.fullmatch(value))


def _masked_assignment(match: re.Match[str]) -> str:
    quote = (match[2] or match[3] or "")[:1]
    return f"{match[1]}{quote}{MASK}{quote if match[2] else ''}"


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _local(name: str) -> str:
    return name.rpartition("}")[2]
