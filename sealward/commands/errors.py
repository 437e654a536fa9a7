"""Why a command is refused. The docstring is the message; the code is stable and never reused."""

from __future__ import annotations

from sealward.error import SealwardError


class Rejected(SealwardError):
    """The command was refused; nothing was written."""

    code = "command.rejected"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class Unrecordable(Rejected):
    """What the command says cannot be recorded: one of its values is not of its type."""

    code = "event.unfit"


class StreamUnreadable(Rejected):
    """What was recorded of this server or node cannot be read: see `sealward events set-aside list`."""

    code = "event.unreadable"


class AlreadySigned(Rejected):
    """The server is signed already. To make a new reference, PUT it."""

    code = "sign.exists"


class NotSigned(Rejected):
    """The server is not signed. To sign it, POST it."""

    code = "sign.not-found"


class Changed(Rejected):
    """The sign is no longer what the If-Match header names. GET it, look at it, and ask again."""

    code = "sign.changed"


class NotInDoubt(Rejected):
    """No libvirt upgrade has left the server in doubt. Use PUT if it is to have another reference."""

    code = "sign.not-in-doubt"


class PlaceUnconfirmed(Rejected):
    """Say by node_id which node has the server to sign: make sure that it is there, then ask again."""

    code = "sign.place-unconfirmed"


class ReportRefused(Rejected):
    """A node's report was refused."""

    code = "report.refused"


class WrongNode(ReportRefused):
    """The report is about a server that another node runs."""

    code = "report.wrong-node"


class MovedAway(WrongNode):
    """The report is about a server that has moved to another node meanwhile."""


class AnnouncedToAnother(ReportRefused):
    """The server's home has announced its migration to another node, or another node claims the server."""

    code = "report.announced-to-another"


class NotComing(ReportRefused):
    """The node's start gate asked for a server that its home does not migrate out."""

    code = "report.not-coming"


class TooManyClaims(ReportRefused):
    """The node claims too many servers of other nodes within a minute."""

    code = "report.too-many-claims"


class UnknownGeneration(ReportRefused):
    """The report is about a sign or a generation that nobody ordered, or that a later order replaced."""

    code = "report.unknown-generation"


class NotOrdered(ReportRefused):
    """The server is not sealed: the measurement names another task than the order that waits for a seal."""

    code = "report.not-ordered"


class FromTheFuture(ReportRefused):
    """The report is dated in the future: set the node's clock."""

    code = "report.from-the-future"


class FilesUnread(ReportRefused):
    """The server is not sealed: the measurement says that some of its files could not be read."""

    code = "report.files-unread"


class SweepMalformed(ReportRefused):
    """The report of a sweep names signs in a way that cannot be read."""

    code = "report.malformed"


class TooManyQuestions(ReportRefused):
    """The node's start gate has asked for the references of too many servers within a minute."""

    code = "report.too-many-questions"


class HostnameTaken(Rejected):
    """Another key is registered under this hostname; an administrator can name this one instead."""

    code = "node.hostname-taken"


class NotInvited(Rejected):
    """Nobody has invited this host. `sealward node enroll HOSTNAME` does, or POST /v1/node lets it in."""

    code = "node.not-invited"


class InvitationExpired(Rejected):
    """The invitation has expired. Make another one: `sealward node enroll HOSTNAME`."""

    code = "invitation.expired"


class InvitationRevoked(Rejected):
    """The invitation was revoked. Make another one: `sealward node enroll HOSTNAME`."""

    code = "invitation.revoked"


class InvitationUsed(Rejected):
    """The invitation was used already. To let another key in, DELETE the node first, or PUT the key."""

    code = "invitation.used"


class InvitationSpent(Rejected):
    """The invitation was used or revoked: others may know its secret. Move its file away, make another."""

    code = "invitation.spent"


class NodeExists(Rejected):
    """A node of this hostname is registered. To name another key for it, PUT that."""

    code = "node.exists"


class NodeHasSigns(Rejected):
    """Servers on this node are signed: DELETE their signs, or let the servers run on another node first."""

    code = "node.has-signs"


class NodeNotLost(Rejected):
    """The node that the sign is on is heard and runs the server: it says itself when the server leaves."""

    code = "sign.node-not-lost"


class NotThere(Rejected):
    """That node does not report such a server. GET /v1/server lists which node has what."""

    code = "sign.not-there"


class NodeWasRemoved(Rejected):
    """The node was removed; an administrator can let it in again: POST /v1/node."""

    code = "node.removed"


class FirmwareUnknown(Rejected):
    """The node has not reported any firmware files: name their folders in its SEALWARD_FIRMWARE_DIRS."""

    code = "node.firmware-unknown"


class FirmwareIsAnother(Rejected):
    """The digest is not that of the firmware files found last. GET the node, look at them, and ask again."""

    code = "node.firmware-changed"


class NotRegistered(Rejected):
    """No such node is registered."""

    code = "node.not-found"
