"""The host-bound parts of a server: strict while the server stays on its node, recorded anew after a move.

`node_agent.profile` names the parts of a domain that are bound to its host; a measurement has their digest.
Only a move to another node rewrites these parts. So:

1. While a server stays on its node, its host-bound parts must be as they were signed, or, after a move, as
   they were recorded then: on another node the same path can be another volume.
2. After a move the host-bound parts may have any values once: the first measurement on the new node records
   them.
3. The values that a start completes a definition with (`node_agent.measuring.completing`: the firmware that
   was picked, the bridge of a network) may be any values at the first start after a seal without such values.
   This first start records them. Every later start must complete the definition with the same values, and so
   must a definition that was made of a running form. After a move the values are recorded anew, as in rule 2.
4. A door (`node_agent.doors`: a setting that opens a server to others) is never recorded: a door that was not
   there when the server was signed is a violation, also after a move. The same holds for taints
   (`events.comparison.taint`).
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - snapshots are read by the annotations
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.devices import device_findings, exchanged
from sealward.events.comparison.devices import lost as lost_devices
from sealward.events.comparison.measurement import CONFIG, REDEFINED, STARTED, Finding
from sealward.events.comparison.named import named_findings, redefined
from sealward.events.comparison.taint import added, taint_findings

if TYPE_CHECKING:
    from sealward.events.base import Event
    from sealward.events.comparison.measurement import Measurement

MOST_DOORS: Final = 50
"""How many doors findings name at most: a hostile node can report any number of doors."""
HOST_BOUND: Final = "host-bound"
"""The section of a finding about host-bound parts of which only digests and doors are known."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The last record of the host-bound parts of a server.

    `recorded` has their digests by form; it is empty while they are as they were signed. `is_open` says that
    the server has moved and was not measured on its new node yet.
    """

    recorded: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False
    has_moved: bool = False
    """Whether the server has moved since it was signed."""


AS_SIGNED: Final = Binding()


def after(binding: Binding, event: Event) -> Binding:
    """Return the binding after an event of the server's sign."""
    from sealward.events import sign  # noqa: PLC0415 - the start gate reads bindings in a hurry, and no events
    from sealward.events.is_valid import IsValid  # noqa: PLC0415 - as above
    from sealward.events.verdict_reason import VerdictReason  # noqa: PLC0415 - as above

    match event:
        case sign.SignCreated() | sign.SignSealed():
            return AS_SIGNED
        case sign.SignMoved():
            return replace(binding, is_open=True, has_moved=True)
        case sign.HostBoundChanged():
            return Binding(event.host_bound, has_moved=binding.has_moved)
        case sign.SignValidated(is_valid=IsValid.TRUE):
            return replace(binding, is_open=False) if binding.is_open else binding
        case sign.SignValidated() if VerdictReason.FALSE_BEFORE_MOVE in event.reasons:
            return replace(binding, is_open=False) if binding.is_open else binding
    return binding


def is_learnable(reference: Measurement, binding: Binding) -> bool:
    """Say whether host-bound parts may be anything once: after a move, or when none were ever recorded."""
    return binding.is_open or not (reference.host_bound or binding.recorded)


def completes(reference: Measurement, binding: Binding, found: Measurement) -> bool:
    """Say whether a start has decided values of a definition that no start had decided before (rule 3)."""
    known = binding.recorded.get(STARTED) or reference.host_bound.get(STARTED)
    return STARTED in found.host_bound and known is None


def is_news(reference: Measurement, binding: Binding, found: Measurement) -> bool:
    """Say whether host-bound parts differ from the last record, and may differ (rules 2, 3)."""
    last = binding.recorded or reference.host_bound
    is_moved = is_learnable(reference, binding) and to_record(found) != dict(last)
    return is_moved or completes(reference, binding, found)


def to_record(found: Measurement) -> dict[str, str]:
    """Return the digests to record of the host-bound parts of a server."""
    return {form: one for form, one in found.host_bound.items() if form != REDEFINED}


def strays(reference: Measurement, binding: Binding, found: Measurement) -> tuple[str, ...]:
    """Return the forms whose host-bound parts are not as they must be (rules 1, 3).

    No form is returned while any values are allowed. A form may have the known digest of another form: after
    a migration the persistent form is as the running form was, and a server that is off has no running form.
    """
    if found.host_bound == reference.host_bound and not binding.recorded:
        return ()  # nothing differs: the usual case
    if is_learnable(reference, binding) or is_undecided(reference, binding):
        return ()
    known = _known(reference, binding)
    odd = {form for form, digest in found.host_bound.items() if digest not in known}
    if completes(reference, binding, found):
        odd.discard(STARTED)
    return tuple(sorted(odd))


def is_undecided(reference: Measurement, binding: Binding) -> bool:
    """Say whether a move recorded digests under an earlier profile, which cannot be compared any more."""
    return HOST_BOUND in reference.undecided and bool(binding.recorded)


def _known(reference: Measurement, binding: Binding) -> frozenset[str]:
    """Return the digests that host-bound parts may have.

    After a move the signed digests are allowed beside the recorded digests only if the persistent form
    arrived as it was signed: from this form a cold start makes the running form that was signed.
    """
    signed, recorded = reference.host_bound, binding.recorded
    is_as_signed = not recorded or recorded.get(CONFIG) in {None, signed.get(CONFIG)}
    return frozenset((*recorded.values(), *(signed.values() if is_as_signed else ())))


def doors_opened(reference: Measurement, found: Measurement) -> tuple[str, ...]:
    """Return the doors that were not there when the server was signed.

    Doors of a kind that either agent did not look for are not compared.
    """
    if (reference.doors, reference.hidden_doors) == (found.doors, found.hidden_doors):
        return ()
    kinds = ((reference.doors, found.doors), (reference.hidden_doors, found.hidden_doors))
    opened = (set(now).difference(signed) for signed, now in kinds if signed is not None and now is not None)
    return tuple(sorted(set().union(*opened)))


def is_violated(reference: Measurement, binding: Binding, found: Measurement) -> bool:
    """Say whether a measurement violates one of the rules 1 to 4, or a rule of `named` or `devices`."""
    return bool(
        strays(reference, binding, found)
        or doors_opened(reference, found)
        or added(reference, found)
        or (_is_at_home(binding) and redefined(reference, found))
        or exchanged(reference, found, is_at_home=_is_at_home(binding))
    )


def lost(reference: Measurement, binding: Binding, found: Measurement) -> tuple[str, ...]:
    """Return the names of the devices whose identity was signed and could not be read now."""
    return lost_devices(reference, found, is_at_home=_is_at_home(binding))


def is_in_doubt(reference: Measurement, binding: Binding) -> bool:
    """Say whether a reference of an earlier profile leaves sections or host-bound parts undecided."""
    return bool(set(reference.undecided) - {HOST_BOUND}) or is_undecided(reference, binding)


def _is_at_home(binding: Binding) -> bool:
    """Say whether the server is on the node where it was signed. Only there names are compared (`named`).

    A server that may be coming from another node (`is_open` before any move) is not at home.
    """
    return not (binding.has_moved or binding.is_open)


def unexplained(reference: Measurement, binding: Binding, found: Measurement) -> tuple[Finding, ...]:
    """Return a finding for each violation (`is_violated`), made from the two measurements alone."""
    signed = reference.host_bound
    odd = (
        Finding(HOST_BOUND, "/domain", signed.get(form), found.host_bound[form], form)
        for form in strays(reference, binding, found)
    )
    opened = (one.partition(": ") for one in doors_opened(reference, found)[:MOST_DOORS])
    shown = (*odd, *(Finding(HOST_BOUND, place, None, what) for place, _, what in opened))
    named = named_findings(reference, found) if _is_at_home(binding) else ()
    devices = device_findings(reference, found, is_at_home=_is_at_home(binding))
    return (*(one.printable() for one in shown), *named, *devices, *taint_findings(reference, found))
