"""Measuring one server: libvirt's description of its domain, together with its files."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.set_aside import BROKEN
from sealward.node_agent.devices import given as devices
from sealward.node_agent.devices.sysfs import Sysfs
from sealward.node_agent.files.refusals import FilesBeingMeasured, refusal
from sealward.node_agent.hypervisor.failures import DomainUnreadable
from sealward.node_agent.ledger.saved_images import PATIENCE, Look
from sealward.node_agent.measuring.canonical import DomainXmlRefused
from sealward.node_agent.measuring.interventions.jobs import backups, without_jobs
from sealward.node_agent.measuring.interventions.taint import counting
from sealward.node_agent.measuring.measure import measure
from sealward.node_agent.measuring.not_measured import DeviceNotIdentified, MeasuringFailed
from sealward.node_agent.validation.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from sealward.events.comparison.measurement import Finding
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.hypervisor.domains import DomainXml
    from sealward.node_agent.hypervisor.hypervisor import Hypervisor
    from sealward.node_agent.ledger.bindings import Bindings
    from sealward.node_agent.ledger.references import Reference
    from sealward.node_agent.ledger.saved_images import SavedImages
    from sealward.node_agent.measuring.form import Files
    from sealward.node_agent.measuring.measure import Measured
    from sealward.node_agent.measuring.not_measured import NotMeasured

log = logging.getLogger(__name__)

DRIVER_WITHOUT_DEVICES: Final = "test"
"""libvirt's name for the hypervisor whose domains have nothing of the node."""
UNMEASURED_FOR: Final = 60.0
"""Seconds for which a verdict stands while files of its server are being measured."""


@dataclass(frozen=True, slots=True)
class Described:
    """A server whose description libvirt was asked for at `moment`.

    `xml` waits for the description, or raises NotMeasured. The description is as of `moment` or later.
    """

    reference: Reference
    moment: datetime
    xml: Callable[[], DomainXml]


class ServerMeasurer:
    """Measures the servers of one node, for the thread of one agent."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        files: FileMeasurer,
        bindings: Bindings,
        sysfs: Sysfs | None = None,
        saved: SavedImages | None = None,
    ) -> None:
        self._sysfs = sysfs or Sysfs()
        self._saved = saved
        self._hypervisor = hypervisor
        self._files = files
        self._bindings = bindings
        self._awaited: dict[str, float] = {}
        """By server the time (`time.monotonic()`) since which some of its files are being measured."""

    def measure(self, server_id: str) -> Measured:
        """Measure a server that has no reference to compare it with. Raises NotMeasured."""
        xml = self._hypervisor.describe(server_id)
        measured = self._measured(server_id, xml, fresh=True).beside(None)
        if unread := measured.measurement.unread:
            raise refusal(unread)
        self._awaited.pop(server_id, None)
        return measured

    def compare(self, reference: Reference) -> Comparison:
        """Measure a server now, and compare it with its reference. Raises NotMeasured."""
        return self.compare_described(self._hypervisor.describe(reference.server_id), reference)

    def compare_described(self, xml: DomainXml, reference: Reference, *, fresh: bool = True) -> Comparison:
        """Compare a server that libvirt has described with its reference. Raises NotMeasured.

        A server some of whose files could not be read counts as measured where everything else proves that it
        differs. With `fresh` the files are read anew; else the known root of an unchanged file is used.
        """
        server_id = reference.server_id
        found = self._measured(server_id, xml, fresh=fresh)
        beside = found.beside(reference.measurement, reference.evidence, self._bindings.expanded(server_id))
        comparison = Comparison(reference, self._bindings.of(server_id), beside)
        unread = comparison.measured.measurement.unread
        if unread and not comparison.pairs and not comparison.is_violated:
            raise refusal(unread)
        if comparison.lost and not comparison.pairs and not comparison.is_violated:
            raise DeviceNotIdentified(", ".join(comparison.lost))
        if not unread:
            self._awaited.pop(server_id, None)
        return comparison

    def _measured(self, server_id: str, xml: DomainXml, *, fresh: bool) -> Measured:
        """Measure a server that libvirt has described. Raises NotMeasured."""
        measured = _measured(xml, self._files.look(server_id, xml.driver, fresh=fresh))
        measured = measured.tainted_with(self._of_saved_image(server_id, xml))
        named = dict(xml.named.facts)
        for key, path in xml.named.read_only.items():
            content = self._files.volume(path, xml.driver)
            named |= {} if content is None else {f"{key}:content": content}
        if xml.driver.lower() != DRIVER_WITHOUT_DEVICES:
            named |= devices.facts(self._sysfs, xml.config)
        return measured.told_named(named)

    def _of_saved_image(self, server_id: str, xml: DomainXml) -> tuple[str, ...]:
        """Return the taint of a server whose saved memory was exchanged, if it was."""
        if self._saved is None:
            return ()
        look = Look(xml.saved_path, xml.live is not None, xml.was_saved, xml.is_watched)
        taints = self._saved.taints(server_id, look)
        if self._saved.is_suspect(server_id):
            self._files.remind(server_id, PATIENCE)
        return taints

    def described(
        self, references: Iterable[Reference], moment: Callable[[], datetime]
    ) -> Iterator[Described]:
        """Ask libvirt for the description of each server, one server ahead of the server that is yielded.

        While the agent measures one server, libvirt describes the next.
        """
        before = None
        for reference in references:
            asked = Described(reference, moment(), self._hypervisor.describing(reference.server_id))
            if before is not None:
                yield before
            before = asked
        if before is not None:
            yield before

    def waits_for_files(self, server_id: str, failed: NotMeasured) -> bool:
        """Say whether a server gets more time because its files are still being measured.

        The time counts from the first look that could not measure all files: changing files again and again
        gains no more time.
        """
        if not isinstance(failed, FilesBeingMeasured):
            return False
        now = time.monotonic()
        if server_id not in self._awaited:
            self._awaited[server_id] = now
            self._files.remind(server_id, UNMEASURED_FOR)
        if now - self._awaited[server_id] >= UNMEASURED_FOR:
            return False
        log.info("%s is not measured yet: %s", server_id, failed)
        return True

    def localised(self, finding: Finding) -> Finding:
        """Return a finding that names the stretch of a file that differs, where that is known."""
        return self._files.localised(finding)

    def forget(self, server_id: str) -> None:
        """Forget a server that is no longer signed."""
        self._awaited.pop(server_id, None)


@contextlib.contextmanager
def measuring(server_id: str) -> Iterator[None]:
    """Raise MeasuringFailed for an unexpected exception, so that the other servers are measured."""
    try:
        yield
    except BROKEN as broken:
        log.exception("measuring %s failed", server_id)
        raise MeasuringFailed from broken


def _measured(xml: DomainXml, files: Files) -> Measured:
    try:
        form = xml.saved if xml.live is None else xml.live
        running = None if form is None else without_jobs(form)
        measured = measure(xml.config, None if running is None else running.live, xml.hypervisor, files)
        jobs = () if running is None else (*running.jobs, *backups(xml.backup))
    except DomainXmlRefused as refused:
        raise DomainUnreadable(str(refused)) from refused
    taints = None if xml.tainted is None else counting(xml.tainted, xml.config)
    return measured.told(taints, jobs, is_saved=xml.live is None and xml.saved is not None)
