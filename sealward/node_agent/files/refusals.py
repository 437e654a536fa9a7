"""The reasons why a file of a server could not be measured. Each code is a reason of a verdict."""

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
    """A file of the server cannot be read."""

    code = "file-unreadable"


class FileMissing(FilesNotMeasured):
    """A file of the server is not there."""

    code = "file-missing"


class FileChanging(FilesNotMeasured):
    """A file changed while it was read."""

    code = "file-changing"


class FilesBeingMeasured(FilesNotMeasured):
    """A file takes long to read. The agent measures the server again when the file has been read."""

    code = BEING_MEASURED


class FilesUnresponsive(FilesNotMeasured):
    """The file system of a file does not answer. The agent measures the server again when it does."""

    code = "files-unresponsive"


class NetworkDisk(FilesNotMeasured):
    """A disk is on the network, where this node cannot read it."""

    code = "network-disk"


class DiskKindUnknown(FilesNotMeasured):
    """A disk is of a kind that has no file whose content could be measured."""

    code = "disk-kind-unknown"


class FilePlaceUnknown(FilesNotMeasured):
    """The domain has a path in a place that this version does not know: what the file decides is unknown."""

    code = "file-place-unknown"


class ImageMalformed(FilesNotMeasured):
    """An image's header contradicts itself or the format."""

    code = "image-malformed"


class ImageFormatUnknown(FilesNotMeasured):
    """An image has a format that may refer to other files in ways that Sealward does not know."""

    code = "image-format-unknown"


class ImageNameRefused(FilesNotMeasured):
    """An image refers to another image by a protocol or by options in JSON, not by the name of a file."""

    code = "image-name-refused"


class ChainTooDeep(FilesNotMeasured):
    """A chain of images has more layers than Sealward follows, or contains an image twice."""

    code = "image-chain-refused"


def refusal(codes: Sequence[str]) -> FilesNotMeasured:
    """Return the exception for a list of reasons of which the first is the most important."""
    kinds = {kind.code: kind for kind in FilesNotMeasured.__subclasses__()}
    return kinds.get(codes[0], FilesNotMeasured)(", ".join(codes))
