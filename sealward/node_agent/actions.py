"""Shutting servers down and switching them off.

This is the only part of an agent that opens a libvirt connection that may write.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import libvirt

from sealward.events.enforcement import Action
from sealward.node_agent.reactions import ActionFailed

if TYPE_CHECKING:
    from collections.abc import Callable


def writable(uri: str) -> str:
    """Return the URI of the socket that may write, for the URI of libvirt's read-only socket."""
    return uri.replace("libvirt-sock-ro", "libvirt-sock").replace("virtqemud-sock-ro", "virtqemud-sock")


def acting_on(uri: str) -> Callable[[str, Action], None]:
    """Return a function that acts on a server over a connection that it opens and closes."""

    def act(server_id: str, action: Action) -> None:
        try:
            with contextlib.closing(libvirt.open(uri)) as connection:
                carry_out(connection, server_id, action)
        except libvirt.libvirtError as failed:
            raise ActionFailed(str(failed)) from failed

    return act


def acting_with(opened: Callable[[], libvirt.virConnect]) -> Callable[[str, Action], None]:
    """Return a function that acts on a server over the connection that `opened` returns."""

    def act(server_id: str, action: Action) -> None:
        try:
            carry_out(opened(), server_id, action)
        except libvirt.libvirtError as failed:
            raise ActionFailed(str(failed)) from failed

    return act


def carry_out(connection: libvirt.virConnect, server_id: str, action: Action) -> None:
    """Shut a server down, or switch it off. Raises libvirtError."""
    domain = connection.lookupByUUIDString(server_id)
    if action is Action.SHUTDOWN:
        domain.shutdown()
    else:
        domain.destroy()
