"""The reasons of verdicts that Sealward's own rules give."""

from __future__ import annotations

from enum import StrEnum


class VerdictReason(StrEnum):
    """A reason of a verdict, as it stands in the log, in the rows and in answers.

    Verdicts can have other reasons: the codes of failures to measure, which nodes report.
    """

    NOT_SEALED = "not-sealed"
    """There is no reference yet."""
    DIFFERS = "measurement-differs"
    """A measurement of the server's forms, parts or files differs from the reference."""
    TAINTED = "tainted"
    """The running server has a taint that it did not have when it was signed (`events.comparison.taint`)."""
    PLACE_UNCONFIRMED = "place-unconfirmed"
    """An order of before a move is not sealed on the new node."""
    FALSE_BEFORE_MOVE = "false-before-move"
    """The server was false when its sign moved, and measures equal on its new node."""
    IN_DOUBT = "profile-changed"
    """The differences may come from an upgrade (`events.comparison.doubt`)."""
    STALE = "stale"
    """The last measurement is older than its freshness."""
    CLAIMED = "claimed-twice"
    """Another node claims the server."""
    CLAIM_SETTLED = "claim-settled"
    """The last claim has ended, and the server has not been measured since."""
    NODE_LOST = "node-lost"
    NODE_REMOVED = "node-removed"
    NODE_DEACTIVATED = "node-deactivated"
    INSTANCE_LEFT = "instance-left"
    """The server is not on its node any more."""
    EVENT_SET_ASIDE = "event-set-aside"
    """An event about the sign could not be folded."""
    UNSAID = "unsaid"
    """The event of an unknown verdict has no reason. No decider makes such an event."""
