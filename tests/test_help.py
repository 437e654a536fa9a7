"""`--help` tells an operator enough: what each command does, what each option means, how it is used."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from sealward.__main__ import parser
from sealward.cli.help import EXAMPLES, INDENT


def every(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Return the parser and those of all its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from every(one)


PARSERS = {one.prog: one for one in every(parser())}


@pytest.mark.parametrize("program", PARSERS)
def test_every_command_says_what_it_does(program: str) -> None:
    """In sentences; and each of its arguments what it means."""
    one = PARSERS[program]

    assert one.description
    assert one.description.endswith(".")
    assert [action.dest for action in one._actions if not action.help and not is_command(action)] == []


def is_command(action: argparse.Action) -> bool:
    """Say whether an action stands for sub-commands."""
    return isinstance(action, argparse._SubParsersAction)


@pytest.mark.parametrize("program", PARSERS)
def test_help_fits_a_terminal(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighty columns, examples included."""
    monkeypatch.setenv("COLUMNS", "80")

    assert [line for line in PARSERS[program].format_help().splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("program", EXAMPLES)
def test_examples_are_shown_and_can_be_run(program: str) -> None:
    """Each stands in the help as it is typed, and is understood."""
    text = PARSERS[program].format_help()
    for typed in EXAMPLES[program]:
        assert f"\n{INDENT}{typed}\n" in f"{text}\n"
        if "--help" not in typed:
            assert parser().parse_args(shlex.split(typed)[1:]).run
