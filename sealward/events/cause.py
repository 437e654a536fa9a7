"""Why a node measured its servers."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """The cause of a measurement or of a sweep, as reports, events and the log have it.

    Reports and events can have other causes: a newer agent may know more of them.
    """

    SEALED = "sealed"
    """The measurement was made to seal a server, whether or not it has become the reference."""
    PASSED_OVER = "passed-over"
    """A server was being sealed during a sweep. The sweep did not vouch for the server, so trust that was
    withdrawn before may not have been given back."""
    REQUESTED = "requested"
    """An administrator asked for the measurement of one server."""
    DOMAIN_CHANGED = "domain-changed"
    """The domain or the files of one server changed, or the server is new to the node."""
    CHANGED_BACK = "changed-back"
    """The server was changed and changed back before it could be measured: libvirt told of the change, and
    the server measures as before. This is recorded at most once a minute for each server."""
    SWEEP = "sweep"
    """All servers are measured at regular intervals."""
    RESCAN = "rescan"
    """There was a change, and the node does not know which servers it concerns."""
    AGENT_STARTED = "agent-started"
    """The agent took over what the control plane has recorded."""
    NODE_ACTIVATED = "node-activated"
    """An administrator switched validation on."""
    NODE_DEACTIVATED = "node-deactivated"
    """An administrator switched validation off: the node vouches for no server any more."""
