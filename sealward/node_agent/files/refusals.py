"""Why a file of a server could not be measured; each code is a reason of a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events.comparison.measurement import BEING_MEASURED
from sealward.node_agent.measuring.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Sequence


class FilesNotMeasured(NotMeasured):
    """The files of a server could not be measured."""

    code = "files-not-measured"


class FileUnreadable(FilesNotMeasured):
    """A file that counts cannot be read."""

    code = "file-unreadable"


class FileMissing(FilesNotMeasured):
    """A file that counts is not there."""

    code = "file-missing"


class FileChanging(FilesNotMeasured):
    """A file changed while it was read."""

    code = "file-changing"


class FilesBeingMeasured(FilesNotMeasured):
    """A file takes long to read; the agent looks again when it has been."""

    code = BEING_MEASURED


class FilesUnresponsive(FilesNotMeasured):
    """The file system that a file lies on does not answer; the agent looks again when it does."""

    code = "files-unresponsive"


class NetworkDisk(FilesNotMeasured):
    """A disk lies behind the network, where this node cannot read it."""

    code = "network-disk"


class DiskKindUnknown(FilesNotMeasured):
    """A disk is of a kind whose content cannot be told by a file."""

    code = "disk-kind-unknown"


class ImageMalformed(FilesNotMeasured):
    """An image's header contradicts itself or the format."""

    code = "image-malformed"


class ImageFormatUnknown(FilesNotMeasured):
    """An image has a format that may refer to other files in ways not known here."""

    code = "image-format-unknown"


class ImageNameRefused(FilesNotMeasured):
    """An image refers to another one by something else than a file's name: a protocol, options as JSON."""

    code = "image-name-refused"


class ChainTooDeep(FilesNotMeasured):
    """A chain of images has more layers than are followed, or comes back to itself."""

    code = "image-chain-refused"


def refusal(codes: Sequence[str]) -> FilesNotMeasured:
    """Return what to raise when files could not be measured for those reasons, the weightiest first."""
    kinds = {kind.code: kind for kind in FilesNotMeasured.__subclasses__()}
    return kinds.get(codes[0], FilesNotMeasured)(", ".join(codes))
