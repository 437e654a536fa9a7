"""Messages of syslog, sent to a receiver over TCP and TLS."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector import Collector
from formats import events
from running import until

from sealward.cli.log import outlet
from sealward.formats import cef, syslog
from stack.certificates import Certificates, issue

NOTICE = events.golden(next(one for one in events.GOLDEN if one.name == "sign.validated.v1.json"))
RFC_5424 = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) (?P<host>[!-~]{1,255}) "
    r"sealward \d+ (?P<topic>[!-~]{1,32}) - \ufeff(?P<body>.*)"
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority and a certificate of it for loopback."""
    return issue(tmp_path_factory.mktemp("syslog"))


@pytest.fixture
def collector(certificates: Certificates) -> Iterator[Collector]:
    """Yield a receiver with TLS."""
    one = Collector(certificates)
    yield one
    one.close()


def sent(port: int, ca: Path | None) -> outlet.Sent:
    """Return what sends to a receiver on loopback."""
    scheme = "syslog+tcp" if ca is None else "syslog+tls"
    return outlet.Sent(
        syslog.receiver(f"{scheme}://127.0.0.1:{port}", None if ca is None else str(ca), None, None)
    )


def test_a_message_is_as_rfc_5424_says(collector: Collector, certificates: Certificates) -> None:
    """Facility 13, the severity of a violation, time and topic; the body after a byte order mark."""
    line = cef.render(NOTICE)
    with contextlib.closing(sent(collector.port, certificates.ca)) as sending:
        sending.take(NOTICE, line)
        until(lambda: len(collector.messages) == 1)
    found = RFC_5424.fullmatch(collector.messages[0])

    assert found is not None
    assert int(found["priority"]) == 13 * 8 + 3
    assert found["time"] == "2026-01-02T12:00:00.250000Z"
    assert found["topic"] == "sign.validated"
    assert found["body"] == line


def test_without_tls() -> None:
    """For a receiver on the same host."""
    receiver = Collector(None)
    with contextlib.closing(sent(receiver.port, None)) as sending:
        sending.take(NOTICE, "häßlich")
        until(lambda: len(receiver.messages) == 1)
    receiver.close()

    assert receiver.messages[0].endswith("\ufeffhäßlich")


def test_a_receiver_that_another_authority_vouches_for_gets_nothing(
    collector: Collector, tmp_path: Path
) -> None:
    """The event waits."""
    other = issue(tmp_path / "other")

    with pytest.raises(ssl.SSLCertVerificationError):
        syslog.Connection(
            syslog.receiver(f"syslog+tls://127.0.0.1:{collector.port}", str(other.ca), None, None)
        )
    assert collector.messages == []


def test_an_event_waits_for_a_receiver_that_is_away(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is sent when the receiver is back; one line says that it went, one line that it is back."""
    monkeypatch.setattr(outlet, "PAUSE", 0.05)
    first = Collector(certificates)
    sending = sent(first.port, certificates.ca)

    def take(*lines: str) -> None:
        for one in lines:
            sending.take(NOTICE, one)

    take("first")
    until(lambda: len(first.messages) == 1)
    first.close()
    waiting = threading.Thread(target=take, args=("second", "third"))
    waiting.start()
    waiting.join(0.5)
    was_waiting = waiting.is_alive()
    second = Collector(certificates, first.port)
    waiting.join(10)
    until(lambda: len(second.messages) == 2)
    sending.close()
    second.close()
    said = capsys.readouterr().err.splitlines()

    assert was_waiting
    assert [one.rpartition("\ufeff")[2] for one in second.messages] == ["second", "third"]
    assert len(said) == 2, said
    assert said[1].endswith("is back")


@pytest.mark.parametrize("url", ["https://a", "syslog+tls://", "syslog+tls://a/b", "syslog://a", "a:6514"])
def test_another_url_is_refused_with_the_form(url: str) -> None:
    """The message says what is taken."""
    with pytest.raises(ValueError, match=r"syslog\+tls://HOST:PORT|port"):
        syslog.receiver(url, None, None, None)
