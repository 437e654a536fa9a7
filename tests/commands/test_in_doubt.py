"""An order to sign anew what a libvirt upgrade has left in doubt seals nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sign_life import ASK, CHANGED, NOW, created, play, report, sealed, verdict_of

from sealward.commands import sign as decider
from sealward.commands.context import RequestContext
from sealward.commands.errors import (
    NotInDoubt,
)
from sealward.commands.messages import (
    UpdateSign,
)
from sealward.commands.sign_state import Sign
from sealward.events.comparison.measurement import Finding, Measurement
from sealward.events.is_valid import IsValid
from sealward.events.sign import (
    SignSealed,
    SignValidated,
)

CPU = Finding("cpu", "/domain/cpu/@check", None, "full")
OLD = Measurement(
    "libvirt-domain/1", {"boot": "aa", "cpu": "aa"}, {}, "libvirt 9.0.0", {"config": "bb"}, doors=()
)
UPGRADED = replace(OLD, sections={"boot": "aa", "cpu": "bb"}, hypervisor="libvirt 9.1.0")


def in_doubt() -> Sign:
    """Return a sign that a libvirt upgrade has left in doubt, and that is ordered to be sealed anew."""
    sign = play(created(), report(created(), OLD))
    sign = play(sign, report(sign, UPGRADED, second=2, findings=(CPU,)))
    again = UpdateSign(**ASK | {"context": RequestContext(actor="user:admin", task_id="t-2")}, in_doubt=True)
    sign = play(sign, decider.update_sign(sign, again, now=NOW))
    assert sign is not None
    return sign


def test_an_order_for_what_is_in_doubt_seals_what_an_upgrade_filled_in() -> None:
    """Equal but for what the findings explain."""
    events = report(in_doubt(), UPGRADED, second=3, generation=2, cause="sealed", findings=(CPU,))

    assert [type(one) for one in events] == [SignSealed, SignValidated]
    assert verdict_of(events) is IsValid.TRUE


@pytest.mark.parametrize(
    ("found", "findings"),
    [
        (UPGRADED, ()),
        (replace(UPGRADED, sections={"boot": "bb", "cpu": "bb"}), (CPU,)),
        (
            replace(UPGRADED, sections={"boot": "bb", "cpu": "bb"}),
            (CPU, Finding("boot", "/domain/os/initrd", None, "/evil")),
        ),
        (replace(UPGRADED, host_bound={"config": "cc"}), (CPU,)),
        (replace(UPGRADED, doors=("/domain: memory is shared",)), (CPU,)),
        (replace(UPGRADED, profile="libvirt-domain/9"), (CPU,)),
        (replace(UPGRADED, hypervisor="libvirt 9.0.0"), (CPU,)),
    ],
)
def test_an_order_for_what_is_in_doubt_seals_nothing_else(
    found: Measurement, findings: tuple[Finding, ...]
) -> None:
    """The server is judged by its reference; a PUT without If-Match seals the server as it is."""
    sign = in_doubt()
    events = report(sign, found, second=3, generation=2, cause="sealed", findings=findings)
    ordered = play(sign, decider.update_sign(sign, UpdateSign(**ASK), now=NOW))

    assert [type(one) for one in events] == [SignValidated]
    assert verdict_of(events) is not IsValid.TRUE
    assert type(report(ordered, found, second=3, generation=3, cause="sealed")[0]) is SignSealed


def test_what_is_not_in_doubt_is_not_ordered_as_if_it_were() -> None:
    """A true needs no new reference, and a false is none of an upgrade's doing."""
    for sign in (sealed(), play(sealed(), report(sealed(), CHANGED, second=2))):
        with pytest.raises(NotInDoubt):
            decider.update_sign(sign, UpdateSign(**ASK, in_doubt=True), now=NOW)
