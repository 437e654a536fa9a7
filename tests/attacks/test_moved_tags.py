"""Images by digest: what `make digests` writes, against a registry that answers as the specification has it.

No test asks a real registry: that compose.yaml and Dockerfile are pinned is for a release to see to.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stack import digests

LINE = re.compile(r"^(?:FROM|    image:) (\S+)", re.MULTILINE)
TOKEN = "a-token-of-the-registry"  # noqa: S105 - made up


def of(path: str) -> str:
    """Return the digest that the registry has for a path."""
    return f"sha256:{hashlib.sha256(path.encode()).hexdigest()}"


class Registry(http.server.BaseHTTPRequestHandler):
    """Manifests for who has a token, tokens for who asks for one in the scope that was named."""

    answer = ""
    """What it says instead of a digest, where that is set."""

    def do_HEAD(self) -> None:
        """Answer for a manifest."""
        name = urlsplit(self.path).path.split("/manifests/")[0].removeprefix("/v2/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}-{name}":
            scope = f'service="here",scope="repository:{name}:pull"'
            self.send_response(401)
            self.send_header(
                "WWW-Authenticate", f'Bearer realm="http://{self.headers["Host"]}/token",{scope}'
            )
        elif "index" not in self.headers.get("Accept", ""):
            self.send_response(406)
        elif "missing" in name:
            self.send_response(404)
        else:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", self.answer or of(self.path))
        self.end_headers()

    def do_GET(self) -> None:
        """Give a token."""
        (scope,) = parse_qs(urlsplit(self.path).query)["scope"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": f"{TOKEN}-{scope.split(':')[1]}"}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URL of a registry."""
    monkeypatch.setattr(Registry, "answer", "")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_every_image_of_others_is_found_and_pinned(registry: str) -> None:
    """In compose.yaml and Dockerfile; what is built here stays as it is, and a second time is no other."""
    for path in digests.FILES:
        before = path.read_text()
        after = digests.pinned(before, registry)
        assert digests.unpinned(after) == []
        assert digests.pinned(after, registry) == after
        tags = {one["tag"] for one in digests.IMAGE.finditer(before)}
        assert tags == {one["tag"] for one in digests.IMAGE.finditer(after)}
        assert after.count("@sha256:") == sum(
            not one.startswith(digests.OWN) for one in re.findall(LINE, before)
        )
        assert not re.search(r"sealward:[\d.]+@", after)


def test_an_image_is_asked_for_under_its_own_name(registry: str) -> None:
    """Those without a folder are the library's; a token is asked for in the scope that was named."""
    assert digests.digest("postgres:15-bookworm", registry) == of(
        "/v2/library/postgres/manifests/15-bookworm"
    )
    assert digests.digest("some/one:2", registry) == of("/v2/some/one/manifests/2")


@pytest.mark.parametrize(
    "answer", ["sha256:short", "md5:" + 32 * "0", "sha256:" + 64 * "0" + " x", "sha256:" + 64 * "G"]
)
def test_what_is_no_digest_is_not_written(
    registry: str, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Nothing that a registry says gets into a file but that."""
    monkeypatch.setattr(Registry, "answer", answer)
    with pytest.raises(digests.NoDigest):
        digests.pinned("FROM python:3.11\n", registry)


def test_an_image_that_is_not_there_is_said(registry: str) -> None:
    """And where there is no registry, too."""
    with pytest.raises(digests.NoDigest, match="missing:1"):
        digests.digest("missing:1", registry)
    with pytest.raises(digests.NoDigest):
        digests.digest("postgres:15", "http://127.0.0.1:9")


def test_what_is_not_pinned_is_listed() -> None:
    """With an exit status for the release."""
    done = subprocess.run(
        [sys.executable, "-m", "stack.digests", "--check"],
        cwd=Path(digests.ROOT),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    left = [one for path in digests.FILES for one in digests.unpinned(path.read_text())]

    assert done.returncode == (1 if left else 0)
    assert all(one in done.stdout for one in left)


def test_no_tag_says_whatever_is_newest() -> None:
    """A tag names a version at least."""
    tags = [
        one["tag"].partition(":")[2]
        for path in digests.FILES
        for one in digests.IMAGE.finditer(path.read_text())
    ]

    assert len(tags) >= 4
    assert all(any(sign.isdigit() for sign in tag) for tag in tags)
