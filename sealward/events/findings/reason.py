"""The registry of reasons: of verdicts, and of the start gate's objections. docs/findings.md lists them.

The code, the API's description and the documentation take the reasons from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sealward.events.verdict_reason import VerdictReason

FALSE: Final = "false"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason: its stable code, the verdict that has the reason, what the reason means and what to do."""

    code: str
    verdict: str
    means: str
    to_do: str


_WAIT: Final = "Nothing: it ends by itself."
_LIBVIRT: Final = "Look at libvirt on the node; the server is measured again when libvirt answers."
_SIGN: Final = "If the change was meant, sign the server anew; if not, undo it."
_IMAGE: Final = "Run `qemu-img info --backing-chain` on the image; use a format and names of docs/files.md."

OF_VERDICTS: Final = {
    one.code: one
    for one in (
        Reason(VerdictReason.DIFFERS, FALSE, "measured, and not what was signed: see the findings", _SIGN),
        Reason(
            VerdictReason.TAINTED,
            FALSE,
            "libvirt says that something was done to the running server beside its definition",
            "Switch the server off and on, or sign it anew if the action was meant.",
        ),
        Reason(
            VerdictReason.FALSE_BEFORE_MOVE,
            FALSE,
            "measured equal on the node that its sign has moved to, and was false before",
            "Sign the server anew.",
        ),
        Reason(
            VerdictReason.PLACE_UNCONFIRMED,
            UNKNOWN,
            "to be signed, and its sign has moved since without an announced migration or an order",
            "Sign the server anew, and name the node.",
        ),
        Reason(VerdictReason.NOT_SEALED, UNKNOWN, "ordered, and not measured yet", _WAIT),
        Reason(
            VerdictReason.STALE,
            UNKNOWN,
            "nobody has vouched for the server for longer than its freshness",
            "Activate validation on its node, or have the server validated.",
        ),
        Reason(
            VerdictReason.NODE_LOST,
            UNKNOWN,
            "its node was silent for longer than its lease",
            "Look at the agent of the node, and at the way from the node to the broker.",
        ),
        Reason(
            VerdictReason.NODE_REMOVED,
            UNKNOWN,
            "its node was removed in the moment in which the server was signed",
            "Sign the server anew on the node that it is on.",
        ),
        Reason(
            VerdictReason.CLAIMED,
            UNKNOWN,
            "another node says that it runs the server, too; the findings name both nodes",
            "Find out where the server runs. Move the sign there, or remove the other server.",
        ),
        Reason(
            VerdictReason.CLAIM_SETTLED,
            UNKNOWN,
            "no other node claims the server any more, and its node has not measured it since",
            _WAIT,
        ),
        Reason(
            VerdictReason.NODE_DEACTIVATED,
            UNKNOWN,
            "validation on its node was switched off",
            "Activate validation on the node.",
        ),
        Reason(
            VerdictReason.INSTANCE_LEFT,
            UNKNOWN,
            "its node does not have the server any more",
            "If the server was deleted, delete its sign; if it was moved, let the sign move.",
        ),
        Reason(
            VerdictReason.IN_DOUBT,
            UNKNOWN,
            "differs only in what a libvirt upgrade may have filled in since the reference was made, or its "
            "reference is of the profile before and leaves a section undecided",
            "Read the findings, then `openstack sign upgrade accept`.",
        ),
        Reason(
            VerdictReason.EVENT_SET_ASIDE,
            UNKNOWN,
            "the log has an event about the server that the projections could not process",
            "Look at `sealward health`: it names the event. Upgrade, then `sealward replay`.",
        ),
        Reason(VerdictReason.UNSAID, UNKNOWN, "the event of the verdict has no reason", "Report it: a bug."),
        Reason(
            "domain-not-found",
            UNKNOWN,
            "libvirt on its node does not have the server",
            "If the server was deleted, delete its sign; if it was moved, let the sign move.",
        ),
        Reason("libvirt-gone", UNKNOWN, "the agent of the node is there, libvirt is not", _LIBVIRT),
        Reason(
            "domain-locked", UNKNOWN, "libvirt is busy with the server for longer than two seconds", _LIBVIRT
        ),
        Reason(
            "domain-unreadable",
            UNKNOWN,
            "libvirt does not describe the server, or its XML is refused",
            "Run `sealward measure` on the node: the message says why.",
        ),
        Reason(
            "measuring-failed",
            UNKNOWN,
            "the agent met something in the server that the agent is not made for",
            "Read the log of the agent, and report it: a bug.",
        ),
        Reason("not-measured", UNKNOWN, "the server could not be measured", "Read the log of the agent."),
        Reason("files-not-measured", UNKNOWN, "files could not be measured", "Read the log of the agent."),
        Reason(
            "file-missing",
            UNKNOWN,
            "a file that counts is not there",
            "Put the file back, or take it out of the definition of the server.",
        ),
        Reason(
            "file-unreadable",
            UNKNOWN,
            "a file that counts cannot be read",
            "Give the agent the right to read the file (docs/files.md).",
        ),
        Reason("file-changing", UNKNOWN, "a file changed while it was read", _WAIT),
        Reason(
            "files-being-measured",
            UNKNOWN,
            "files take long to read: not sealed yet, or for longer than a verdict stands meanwhile",
            _WAIT,
        ),
        Reason(
            "files-unresponsive",
            UNKNOWN,
            "the file system of a file does not answer; the server is measured again when it does",
            "Look at the mount on the node.",
        ),
        Reason(
            "device-not-identified",
            UNKNOWN,
            "a device that the server was signed with is not there, or cannot be seen by the agent",
            "Plug the device in, or give the agent the right to see it (docs/profile.md).",
        ),
        Reason(
            "network-disk",
            UNKNOWN,
            "the node measures files, and the content of a disk is no file of the node",
            "Measure such servers without files: see SEALWARD_FILES in docs/files.md.",
        ),
        Reason(
            "disk-kind-unknown",
            UNKNOWN,
            "a disk is of a kind whose content the agent cannot tell",
            "Use another kind of disk, or measure the server without files.",
        ),
        Reason(
            "file-place-unknown",
            UNKNOWN,
            "the domain has a path in a place that this version does not know",
            "Upgrade Sealward, or measure such servers without files (docs/files.md).",
        ),
        Reason("image-malformed", UNKNOWN, "the header of an image contradicts itself", _IMAGE),
        Reason("image-format-unknown", UNKNOWN, "the format of an image is not known", _IMAGE),
        Reason(
            "image-name-refused",
            UNKNOWN,
            "an image names another in a way that is not followed",
            _IMAGE,
        ),
        Reason("image-chain-refused", UNKNOWN, "images refer to each other in too long a chain", _IMAGE),
    )
}
"""The reasons of verdicts by code. Nodes give those of `node_agent.measuring.not_measured`."""

OF_OBJECTIONS: Final = {
    one.code: one
    for one in (
        Reason("measurement-differs", "", "the server is not as it was signed: see the findings", _SIGN),
        Reason(
            "file-not-compared",
            "",
            "a file could not be read, or not in time, or is open for writing: see the findings",
            "Make the file readable for the agent, and start the server again.",
        ),
        Reason("unsigned", "", "the server is not signed on this node", "Sign the server."),
        Reason(
            "unanswered",
            "",
            "the control plane did not say in time whether the server is signed on another node",
            "Look at the way from the node to the broker, and start the server again.",
        ),
        Reason(
            "domain-unreadable",
            "",
            "the XML that libvirt gave cannot be measured",
            "Run `sealward measure` on the node: the message says why.",
        ),
        Reason(
            "reference-missing",
            "",
            "the server is signed, and the ledger of the node has no reference",
            "Restart the agent: it asks for all references.",
        ),
        Reason(
            "reference-rolled-back",
            "",
            "the reference in the ledger is older than one that the ledger had",
            "Find out who changed the ledger, then restart the agent.",
        ),
        Reason(
            "reference-unverified",
            "",
            "the reference in the ledger lacks a signature",
            "Find out who changed the ledger, then restart the agent.",
        ),
        Reason(
            "profile-changed",
            "",
            "the difference may come from a libvirt upgrade",
            "Read the findings, then `openstack sign upgrade accept`.",
        ),
        Reason(
            "ledger-stale",
            "",
            "the node has not heard the control plane for SEALWARD_OFFLINE_FOR",
            "Look at the way from the node to the broker.",
        ),
        Reason(
            "ledger-unreadable",
            "",
            "the ledger of the node cannot be read",
            "Look at the disk and the rights of the folder of the agent.",
        ),
        Reason(
            "firmware-changed",
            "",
            "the firmware files of the node are not what was accepted",
            "If the node was upgraded, accept the firmware.",
        ),
        Reason("out-of-time", "", "the server could not be compared in time", "Start the server again."),
        Reason("domain-not-given", "", "libvirt gave no XML in time", "Look at libvirt on the node."),
        Reason(
            "file-replaced",
            "",
            "when the server had started, QEMU had another file open than the file that had been read",
            "Find out who replaces the file, and start the server again.",
        ),
        Reason(
            "place-taken",
            "",
            "the server is not signed, and has the name or the boot disk of a signed server",
            "Find out who defined the server. Sign it, or remove it.",
        ),
        Reason("gate-failed", "", "the start gate failed", "Read the agent's log, and report it: a bug."),
    )
}
"""The reasons of the start gate's objections by code (`start.refused`, `start.tolerated`)."""
