"""`make digests`: writes into compose.yaml and Dockerfile which image each tag is now, as NAME:TAG@sha256:….

The owner of the registry can move a tag to another image; a digest is the image. The registry is asked
over its API (https://distribution.github.io/distribution/spec/api/), so no container engine is needed. With
`--check` nothing is asked or written: images without a digest are listed, and status 1 says that there are.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FILES: Final = (ROOT / "compose.yaml", ROOT / "Dockerfile")
HUB: Final = "https://registry-1.docker.io"
IMAGE: Final = re.compile(
    r"^(?P<before>FROM |\s+image: )(?P<tag>[a-z0-9./_-]+:[A-Za-z0-9._-]+)(?P<digest>@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)
OWN: Final = "sealward:"
"""An image that is built here has no digest before it is built."""
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
KINDS: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
"""An index names the image of each architecture: its digest is good on all of them."""
CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
PATIENCE: Final = 30.0


class NoDigest(Exception):
    """The registry did not say which image a tag is."""


def unpinned(text: str) -> list[str]:
    """Return the images of a file that have no digest."""
    return [
        one["tag"] for one in IMAGE.finditer(text) if not one["digest"] and not one["tag"].startswith(OWN)
    ]


def pinned(text: str, registry: str = HUB) -> str:
    """Return a file with the digest of each of its images as of now. Raises NoDigest."""

    def pin(one: re.Match[str]) -> str:
        if one["tag"].startswith(OWN):
            return one[0]
        return f"{one['before']}{one['tag']}@{digest(one['tag'], registry)}"

    return IMAGE.sub(pin, text)


def digest(image: str, registry: str = HUB) -> str:
    """Return the digest of the image that a tag is now. Raises NoDigest."""
    name, _, tag = image.partition(":")
    path = name if "/" in name else f"library/{name}"
    url = f"{registry}/v2/{path}/manifests/{tag}"
    try:
        found = _asked(url)
    except (OSError, ValueError) as away:
        raise NoDigest(f"{image}: {url}: {away}") from away
    if not DIGEST.fullmatch(found):
        raise NoDigest(f"{image}: {url} answered {found!r}")
    return found


def _asked(url: str) -> str:
    """Return the answer of a registry, with a token of the kind that it asks for, if it asks for a token."""
    try:
        return _head(url)
    except urllib.error.HTTPError as refused:
        terms = dict(CHALLENGE.findall(refused.headers.get("WWW-Authenticate", "")))
        if refused.code != 401 or "realm" not in terms:  # noqa: PLR2004 - Unauthorized
            raise
    query = urllib.parse.urlencode({name: terms[name] for name in ("service", "scope") if name in terms})
    with urllib.request.urlopen(f"{terms['realm']}?{query}", timeout=PATIENCE) as answer:
        return _head(url, str(json.load(answer)["token"]))


def _head(url: str, token: str | None = None) -> str:
    headers = {"Accept": KINDS} | ({"Authorization": f"Bearer {token}"} if token else {})
    asked = urllib.request.Request(url, headers=headers, method="HEAD")
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        return str(answer.headers.get("Docker-Content-Digest", ""))


def main() -> int:
    """Pin all images, or with `--check` name the images that are not pinned."""
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    if sys.argv[1:] == ["--check"]:
        left = [f"{path.name}: {one}" for path, text in texts.items() for one in unpinned(text)]
        print("\n".join(left) or "all images have digests")
        return 1 if left else 0
    try:
        for path, text in {path: pinned(text) for path, text in texts.items()}.items():
            path.write_text(text, encoding="utf-8")
    except NoDigest as failed:
        print(f"digests: {failed}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
