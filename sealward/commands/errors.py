"""Refusals of commands. An exception's docstring is its message; its code is stable and never reused."""

from __future__ import annotations

from sealward.error import SealwardError


class Rejected(SealwardError):
    """The command was refused; nothing was written."""

    code = "command.rejected"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class Unrecordable(Rejected):
    """The command cannot be recorded, because a value in it does not have its type. Correct the value."""

    code = "event.unfit"


class StreamUnreadable(Rejected):
    """The events of this server or node cannot be read. See `sealward events set-aside list`."""

    code = "event.unreadable"


class AlreadySigned(Rejected):
    """The server is signed already. To make a new reference, send PUT /v1/sign."""

    code = "sign.exists"


class NotSigned(Rejected):
    """The server is not signed. To sign it, send POST /v1/sign."""

    code = "sign.not-found"


class Changed(Rejected):
    """The sign has changed since its ETag in If-Match. GET the sign, check it, and repeat the request."""

    code = "sign.changed"


class NotInDoubt(Rejected):
    """No libvirt upgrade has left the server in doubt. To make a new reference, send PUT /v1/sign."""

    code = "sign.not-in-doubt"


class PlaceUnconfirmed(Rejected):
    """The server's node is not confirmed. Check which node has the server, and send its node_id, too."""

    code = "sign.place-unconfirmed"


class ReportRefused(Rejected):
    """A node's report was refused."""

    code = "report.refused"


class WrongNode(ReportRefused):
    """The report is about a server that runs on another node."""

    code = "report.wrong-node"


class MovedAway(WrongNode):
    """The report is about a server that has moved to another node in the meantime."""


class AnnouncedToAnother(ReportRefused):
    """The server's home has announced its migration to another node, or another node claims the server."""

    code = "report.announced-to-another"


class NotComing(ReportRefused):
    """The node's start gate asked about a server, but the server's home is not migrating the server out."""

    code = "report.not-coming"


class TooManyClaims(ReportRefused):
    """The node claims too many servers of other nodes within a minute."""

    code = "report.too-many-claims"


class UnknownGeneration(ReportRefused):
    """The report is about a sign or generation that was never ordered, or that a later order replaced."""

    code = "report.unknown-generation"


class NotOrdered(ReportRefused):
    """The server is not sealed: the measurement names another task than the open order to seal."""

    code = "report.not-ordered"


class FromTheFuture(ReportRefused):
    """The report is dated in the future: set the node's clock."""

    code = "report.from-the-future"


class FilesUnread(ReportRefused):
    """The server is not sealed: the measurement says that some of its files could not be read."""

    code = "report.files-unread"


class SweepMalformed(ReportRefused):
    """The report of a sweep has a list of signs that cannot be read."""

    code = "report.malformed"


class TooManyQuestions(ReportRefused):
    """The node's start gate has asked for the references of too many servers within a minute."""

    code = "report.too-many-questions"


class HostnameTaken(Rejected):
    """The hostname is registered with another key. To replace that key, PUT /v1/node/{node_id}/key."""

    code = "node.hostname-taken"


class NotInvited(Rejected):
    """The host is not invited. Run `sealward node enroll HOSTNAME`, or send POST /v1/node."""

    code = "node.not-invited"


class InvitationExpired(Rejected):
    """The invitation has expired. Make a new invitation: `sealward node enroll HOSTNAME`."""

    code = "invitation.expired"


class InvitationRevoked(Rejected):
    """The invitation was revoked. Make a new invitation: `sealward node enroll HOSTNAME`."""

    code = "invitation.revoked"


class InvitationUsed(Rejected):
    """The invitation was used already. To accept another key, DELETE the node, or PUT the node's new key."""

    code = "invitation.used"


class InvitationSpent(Rejected):
    """The invitation was used or revoked. Move its file away, and make a new invitation."""

    code = "invitation.spent"


class NodeExists(Rejected):
    """A node with this hostname is registered. To replace its key, send PUT /v1/node/{node_id}/key."""

    code = "node.exists"


class NodeHasSigns(Rejected):
    """Servers on this node are signed. DELETE their signs, or migrate the servers to another node first."""

    code = "node.has-signs"


class NodeNotLost(Rejected):
    """The sign's node is not lost, and runs the server. Migrate the server; then its sign follows."""

    code = "sign.node-not-lost"


class NotThere(Rejected):
    """The node does not report this server. GET /v1/server lists the servers with their nodes."""

    code = "sign.not-there"


class NodeWasRemoved(Rejected):
    """The node was removed. To let the node in again, an administrator sends POST /v1/node."""

    code = "node.removed"


class FirmwareUnknown(Rejected):
    """The node has reported no firmware files. Set SEALWARD_FIRMWARE_DIRS on the node to their folders."""

    code = "node.firmware-unknown"


class FirmwareIsAnother(Rejected):
    """The firmware files found last have another digest. GET the node, check its files, and try again."""

    code = "node.firmware-changed"


class NotRegistered(Rejected):
    """The node is not registered. GET /v1/node lists the registered nodes."""

    code = "node.not-found"
