"""HTTPS: with the API's own certificate, and by a real proxy in front of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import wire
from programs import TOKEN, Process, sealward, started
from running import DATABASE, WEB, Answer, until

from stack.certificates import Certificates, issue
from stack.processes import end, free_port, start, wait_until

pytestmark = pytest.mark.heavy


def trusting(certificates: Certificates) -> ssl.SSLContext:
    """Return what a client needs who trusts that authority."""
    return ssl.create_default_context(cafile=str(certificates.ca))


@pytest.fixture(scope="module")
def own(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Return a process with a certificate of its own."""
    settings = {
        "SEALWARD_TLS_CERTIFICATE": str(certificates.certificate),
        "SEALWARD_TLS_KEY": str(certificates.key),
    }
    with started(tmp_path_factory.mktemp("own"), **settings) as process:
        process.url = process.url.replace("http://", "https://")
        yield process


def ask(url: str, context: ssl.SSLContext, method: str, path: str, body: object = None) -> Answer:
    """Make one call over TLS."""
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, timeout=20, context=context)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json", "X-Auth-Token": TOKEN}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        got = connection.getresponse()
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())


def over(url: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect and shake hands."""
    return context.wrap_socket(wire.connect(url), server_hostname="localhost")


def test_the_api_speaks_tls_itself(own: Process, certificates: Certificates) -> None:
    """A server is signed and read over a connection that is verified; what it says it listens at is https."""
    context = trusting(certificates)

    assert ask(own.url, context, "POST", "/v1/sign", {"server_id": WEB}).status == 201
    assert ask(own.url, context, "GET", f"/v1/sign/{WEB}").json["sign"]["is_valid"] == "true"
    assert f"Sealward listens at {own.url}" in own.output()
    with over(own.url, context) as connection:
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}


def test_large_answers_and_many_requests_on_one_connection(own: Process, certificates: Certificates) -> None:
    """Records, partial writes and pipelining: all of it arrives, in order."""
    context = trusting(certificates)
    with over(own.url, context) as connection:
        connection.sendall(
            wire.request("/openapi.json") * 5 + wire.request("/v1", None, "GET", "Connection: close")
        )
        found = b""
        while part := connection.recv(65536):
            found += part
    assert found.count(b"HTTP/1.1 200 OK") == 6
    assert found.count(b'"openapi":"3.1.1"') == 5


def test_a_large_body_arrives(own: Process, certificates: Certificates) -> None:
    """In records that the kernel does not know of: read to their end."""
    context = trusting(certificates)
    body = {"server_id": "x" * 60_000}
    for _ in range(5):
        assert ask(own.url, context, "POST", "/v1/sign", body).status == 400
    assert ask(own.url, context, "POST", "/v1/sign", {"server_id": "x" * 300_000}).status == 413


def test_a_stream_over_tls(own: Process, certificates: Certificates) -> None:
    """Events come as they happen, and its place is given back when its client goes."""
    context = trusting(certificates)
    for _ in range(3):
        opened = [over(own.url, context) for _ in range(6)]
        for one in opened:
            until(lambda one=one: grants(one), 5)  # type: ignore[misc]
        for one in opened:
            one.close()
        time.sleep(0.5)


def grants(connection: ssl.SSLSocket) -> bool:
    """Ask for a stream; say whether it is granted."""
    connection.sendall(wire.request("/v1/events", TOKEN, "GET", "Accept: text/event-stream"))
    return b" 200 OK" in connection.recv(4096)


def test_only_tls_is_spoken_and_no_old_one(own: Process, certificates: Certificates) -> None:
    """Plain HTTP gets no answer, TLS 1.1 no handshake, an unknown authority no trust; the API goes on."""
    with wire.connect(own.url) as plain, contextlib.suppress(ConnectionError):
        plain.sendall(wire.request("/healthcheck/live"))
        assert b"200" not in plain.recv(4096)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(certificates.ca)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), over(own.url, old):
        pass
    with pytest.raises(ssl.SSLCertVerificationError), over(own.url, ssl.create_default_context()):
        pass
    assert ask(own.url, trusting(certificates), "GET", "/healthcheck/live").status == 200


@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01" + os.urandom(500), b"GET / HTTP/1.1\r\n"]
)
def test_handshakes_that_are_never_finished(own: Process, certificates: Certificates, sent: bytes) -> None:
    """A hundred of them hold up nobody, and are closed in time."""
    context = trusting(certificates)
    with wire.many(own.url, 100, sent) as held:
        began = time.monotonic()
        assert ask(own.url, context, "GET", "/v1/server").status == 200
        assert time.monotonic() - began < 2
        until(lambda: all(wire.is_closed(one) for one in held), 15)


def test_who_does_not_read_over_tls_is_closed(own: Process, certificates: Certificates) -> None:
    """As in the clear."""
    context = trusting(certificates)
    held = []
    for _ in range(10):
        plain = wire.connect(own.url, receive=4096)
        held.append(context.wrap_socket(plain, server_hostname="localhost"))
        held[-1].sendall(wire.request("/openapi.json") * 8)
    began = time.monotonic()
    name = 'sealward_http_closed_total{reason="slow-reader"} '

    def closed() -> float:
        text = ask(own.url, context, "GET", "/metrics").body.decode()
        return float(text.partition(name)[2].split()[0])

    until(lambda: closed() >= 10, 40)
    assert time.monotonic() - began < 30
    for one in held:
        one.close()


def shown(url: str) -> bytes:
    """Return the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # which one it is, is the question
    with over(url, context) as connection:
        return connection.getpeercert(binary_form=True) or b""


UNUSABLE = "the new certificate cannot be used"


def test_a_renewed_certificate_is_taken_into_use(tmp_path: Path) -> None:
    """Without a restart, within seconds; one that cannot be read is not, and the one before stays."""
    first, second = issue(tmp_path / "1"), issue(tmp_path / "2")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def put(one: Certificates) -> None:
        for source, target in ((one.key, key), (one.certificate, certificate)):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    put(first)
    settings = {"SEALWARD_TLS_CERTIFICATE": str(certificate), "SEALWARD_TLS_KEY": str(key)}
    with started(tmp_path, **settings) as process:
        before = shown(process.url)
        certificate.write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
        until(lambda: bool(shown(process.url)) and UNUSABLE in process.output("err"), 15)
        assert shown(process.url) == before
        put(second)
        until(lambda: shown(process.url) != before, 15)
        errors = process.output("err")
    assert errors.count(UNUSABLE) == 1
    assert "was renewed" in errors


@pytest.mark.parametrize("wrong", ["missing", "mismatch", "passphrase", "half"])
def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, wrong: str) -> None:
    """With the settings' names; a key with a passphrase is not asked for at a terminal."""
    first, second = issue(tmp_path / "1"), issue(tmp_path / "2")
    key = {"missing": tmp_path / "none.pem", "mismatch": second.key}.get(wrong, first.key)
    if wrong == "passphrase":
        key = tmp_path / "locked.pem"
        words = ["openssl", "pkey", "-in", str(first.key), "-aes256", "-passout", "pass:x", "-out", str(key)]
        subprocess.run(words, check=True, timeout=20)  # noqa: S603 - fixed words
    settings = {"SEALWARD_TLS_CERTIFICATE": str(first.certificate), "SEALWARD_TLS_KEY": str(key)}
    if wrong == "half":
        del settings["SEALWARD_TLS_KEY"]
    done = sealward(tmp_path, "run", SEALWARD_LISTEN=f"127.0.0.1:{free_port()}", **settings)

    assert done.returncode != 0
    assert ("SEALWARD_TLS_KEY" if wrong == "missing" else "SEALWARD_TLS_CERTIFICATE") in done.stderr
    assert "Traceback" not in done.stderr


HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend api
    bind 127.0.0.1:{port} ssl crt {folder}/both.pem
    option forwardfor
    default_backend sealward
backend sealward
    option httpchk GET /healthcheck/ready
    source 127.0.0.2
    server api-1 {where} check inter 500ms
"""


@pytest.fixture(scope="module")
def proxied(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Process]]:
    """Return the URL of a HAProxy as docs/operations.md has it, and the process behind it."""
    folder = tmp_path_factory.mktemp("proxy")
    with started(folder, SEALWARD_TRUSTED_PROXIES="127.0.0.2", SEALWARD_LOG="json") as process:
        port = free_port()
        (folder / "both.pem").write_bytes(
            certificates.certificate.read_bytes() + certificates.key.read_bytes()
        )
        where = urlsplit(process.url).netloc
        config, log = folder / "haproxy.cfg", folder / "haproxy.log"
        config.write_text(HAPROXY.format(port=port, folder=folder, where=where))
        proxy = start([str(shutil.which("haproxy") or "/usr/sbin/haproxy"), "-db", "-f", str(config)], log)
        try:
            wait_until(lambda: can_connect(port), proxy, log, 20)
            url = f"https://127.0.0.1:{port}"
            until(lambda: ask(url, trusting(certificates), "GET", "/v1").status == 200, 20)
            yield url, process
        finally:
            end(proxy)


def can_connect(port: int) -> bool:
    """Say whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_behind_a_real_proxy(proxied: tuple[str, Process], certificates: Certificates) -> None:
    """Signed and read through it; the log has the client's address, a forged one counts for nothing."""
    url, process = proxied
    context = trusting(certificates)
    assert ask(url, context, "POST", "/v1/sign", {"server_id": DATABASE}).status == 201
    with context.wrap_socket(
        wire.connect(url, source="127.0.0.77"), server_hostname="localhost"
    ) as connection:
        connection.sendall(
            wire.request(
                "/v1/sign", TOKEN, "GET", "X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.2"
            )
        )
        answered = wire.answer(connection)
    request_id = answered.headers["x-openstack-request-id"]
    until(lambda: request_id in process.output("err"))
    (line,) = [one for one in process.output("err").splitlines() if request_id in one]

    assert answered.status == 200
    assert json.loads(line)["client"] == "127.0.0.77"


def test_guessers_behind_a_real_proxy_are_told_apart(
    proxied: tuple[str, Process], certificates: Certificates
) -> None:
    """One is turned away, another is not."""
    url, _ = proxied
    context = trusting(certificates)

    def guess(source: str, token: str) -> int:
        with context.wrap_socket(wire.connect(url, source=source), server_hostname="localhost") as connection:
            connection.sendall(wire.request("/v1/sign", token))
            return wire.answer(connection).status

    assert [guess("127.0.0.78", f"guess-{one}") for one in range(40)][-1] == 429
    assert guess("127.0.0.79", "one more") == 401
    assert guess("127.0.0.79", TOKEN) == 200


def test_streams_and_chunks_go_through_a_real_proxy(
    proxied: tuple[str, Process], certificates: Certificates
) -> None:
    """An event arrives as it happens; a chunked POST keeps its body."""
    url, _ = proxied
    context = trusting(certificates)
    body = json.dumps({"server_id": WEB}).encode()
    with over(url, context) as stream, over(url, context) as writer:
        assert grants(stream)
        head = wire.request(
            "/v1/sign", TOKEN, "POST", "Content-Type: application/json", "Transfer-Encoding: chunked"
        )
        writer.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert wire.answer(writer).status == 201
        found = b""
        while b"sign.sealed" not in found:
            found += stream.recv(65536)
