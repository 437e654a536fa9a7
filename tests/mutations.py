"""Small changes to rules of Sealward, each of which a test must notice: `make mutations` tries them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Mutation(NamedTuple):
    """A text that stands once in a file, the text in its place, and the tests that must fail then.

    `file` is a path below `sealward/`, and `tests` are paths below `tests/`, separated by spaces.
    """

    file: str
    text: str
    becomes: str
    tests: str


_SIGN: Final = "commands/test_sign.py commands/test_late_news.py commands/test_in_doubt.py"
_VERDICT: Final = "events/test_verdict.py events/test_claim.py"
_MOVES: Final = "commands/test_location.py commands/test_confirmation.py commands/test_leaving.py"

MUTATIONS: Final = (
    # Decisions about a sign
    Mutation("commands/sign.py", "if command.policy == sign.policy:", "if False:", _SIGN),
    Mutation("commands/sign.py", "sign.ordered and sign.sealed < sign.ordered:", "sign.ordered:", _SIGN),
    Mutation("commands/sign.py", "if statement.sign_id != sign.sign_id:", "if False:", _SIGN),
    Mutation("commands/sign.py", "if statement.task_id != sign.ordered_task:", "if False:", _SIGN),
    Mutation("commands/sign.py", "if statement.measurement.unread:", "if False:", _SIGN),
    Mutation("commands/sign.py", "if command.report.sign_id != sign.sign_id:", "if False:", _SIGN),
    Mutation("commands/sign.py", "(is_first and not is_late)", "is_first", _SIGN),
    Mutation(
        "commands/sign.py", "measured_at <= sign.host_bound_at", "measured_at < sign.host_bound_at", _SIGN
    ),
    Mutation("commands/sign.py", "or measured_at <= sign.jobs_at", "", _SIGN),
    Mutation("commands/sign.py", "Cause.SEALED and sign.sealed == sign.ordered:", "Cause.SEALED:", _SIGN),
    # The verdict
    Mutation("events/verdict.py", "now >= verdict.fresh_until", "now > verdict.fresh_until", _VERDICT),
    Mutation("events/verdict.py", "if at < max(", "if at <= max(", _VERDICT),
    Mutation(
        "events/verdict.py",
        "event.checked_at <= verdict.checked_at:",
        "event.checked_at < verdict.checked_at:",
        _VERDICT,
    ),
    Mutation(
        "events/verdict.py",
        "event.checked_at <= verdict.withheld_at",
        "event.checked_at < verdict.withheld_at",
        _VERDICT,
    ),
    Mutation("events/verdict.py", "return checked_at <= max(", "return checked_at < max(", _VERDICT),
    Mutation(
        "events/verdict.py", "if event.is_valid is IsValid.TRUE and verdict.claims:", "if False:", _VERDICT
    ),
    Mutation(
        "events/verdict.py",
        "if checked_at <= verdict.checked_at:",
        "if checked_at < verdict.checked_at:",
        _VERDICT,
    ),
    Mutation(
        "events/verdict.py",
        "if not claims and verdict.reasons",
        "if verdict.reasons",
        _VERDICT,
    ),
    Mutation(
        "events/verdict.py",
        "if verdict.is_valid is IsValid.FALSE or verdict.checked_at == NEVER:\n        return verdict\n",
        "if verdict.is_valid is IsValid.FALSE:\n        return verdict\n",
        _VERDICT,
    ),
    # What differs
    Mutation(
        "events/comparison/binding.py",
        "is_as_signed = not recorded or recorded.get(CONFIG) in {None, signed.get(CONFIG)}",
        "is_as_signed = True",
        "events/test_binding.py",
    ),
    Mutation(
        "events/comparison/binding.py",
        "_is_at_home(binding) and redefined",
        "redefined",
        "events/test_binding.py",
    ),
    Mutation(
        "events/comparison/doubt.py",
        "len(made) < MOST",
        "len(made) <= MOST",
        "events/test_measurement.py attacks/test_upgrade_doubt.py",
    ),
    Mutation(
        "events/comparison/doubt.py",
        "or not named.issuperset(pairs)",
        "",
        f"{_SIGN} attacks/test_upgrade_doubt.py",
    ),
    Mutation(
        "node_agent/measuring/masking.py", "if element.tail:", "if False:", "node_agent/test_masking.py"
    ),
    # Moves
    Mutation("commands/moves/location.py", "recorded_at < AGREED", "recorded_at <= AGREED", _MOVES),
    Mutation("commands/moves/location.py", "recorded_at < AWAITED", "recorded_at <= AWAITED", _MOVES),
    Mutation(
        "commands/moves/location.py",
        "return takes_part(home, other) and (other.runs or not there.runs)",
        "return takes_part(home, other)",
        f"{_MOVES} intake/test_intake.py",
    ),
    Mutation(
        "commands/moves/location.py",
        "if home.is_heard and home.runs:",
        "if home.runs:",
        f"{_MOVES} http/test_move.py",
    ),
    Mutation("commands/moves/confirmation.py", "or (known.was_false and sign.is_order_in_doubt)", "", _MOVES),
    Mutation(
        "projections/signs.py", "if row.node_id != event.node_id:", "if False:", "projections/test_signs.py"
    ),
    # Clocks
    Mutation(
        "commands/clock.py",
        "moment > now + TOLERANCE",
        "moment >= now + TOLERANCE",
        "commands/test_clock.py",
    ),
    Mutation(
        "commands/clock.py",
        "and known - moment <= TOLERANCE",
        "and known - moment < TOLERANCE",
        "commands/test_clock.py",
    ),
    # Who may say what
    Mutation(
        "events/signing/statement.py",
        "if subject.digest.sha256 != statement.measurement.digest:",
        "if False:",
        "events/test_statement.py",
    ),
    Mutation(
        "protocol/telling.py",
        "if told.to != to:",
        "if False:",
        "attacks/test_what_nodes_are_told.py node_agent/test_trust.py",
    ),
    Mutation(
        "control/tokens.py",
        "self._clock() < token.expires_at",
        "self._clock() <= token.expires_at",
        "control/test_tokens.py",
    ),
    Mutation(
        "http/limits/allowance.py",
        "self._addresses[address] >= self._per_address",
        "self._addresses[address] > self._per_address",
        "http/test_allowance.py",
    ),
    Mutation(
        "commands/membership.py",
        "if node is not None and not node.removed:",
        "if node is not None:",
        "commands/test_membership.py",
    ),
    Mutation("intake/reports/quota.py", "if size > LARGEST:", "if size >= LARGEST:", "intake/test_quota.py"),
    Mutation(
        "commands/firmware.py",
        "if command.digest != firmwares.digest(node.firmware.found):",
        "if False:",
        "commands/test_firmware.py",
    ),
    # The node
    Mutation(
        "node_agent/gate/decision/decision.py",
        "or comparable.unread or signed.undecided",
        "or signed.undecided",
        "attacks/test_padded_boot_files.py attacks/test_mapped_files.py",
    ),
    Mutation(
        "node_agent/reactions.py",
        "if holds.policy.on_violation is not OnViolation.STOP:",
        "if False:",
        "node_agent/test_reactions.py",
    ),
    # The log
    Mutation(
        "events/tlog/merkle.py", "    if found != expected:", "    if False:", "events/tlog/test_merkle.py"
    ),
    Mutation("events/tlog/merkle.py", "if of_new != new_root:", "if False:", "events/tlog/test_merkle.py"),
)
