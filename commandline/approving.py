"""The frame of the verbs that let somebody in: what is there on all hosts, which one is meant, and
what is done about it on its host.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import click
from pyinfra.api.host import Host

from commandline import asking
from commandline.asking import Answers, Question
from commandline.options import ERRORS, leave
from commandline.results import FAILED
from toolkit.terminal import said

LIST = "list"
Pairs = Sequence[tuple[str, Any]]
NEAREST = 4
"""So many characters of an id are enough, if no other begins with them."""


def action_and_target(
    action: str | None, target: str | None, actions: Sequence[str]
) -> tuple[str, str | None]:
    """Return what is to be done, and the target: what is no action is the target of a list."""
    if action is None or action in actions:
        return action or LIST, target
    if target is not None:
        known = ", ".join(actions)
        raise click.UsageError(f"{action!r} is none of {known}; the target comes behind that")
    return LIST, action


def run(
    target: str | None,
    options: dict[str, Any],
    question: Callable[[Host], Any],
    what: str,
    *,
    some: Callable[[Any], Pairs],
    wanted: str | None,
    act: Callable[[Host, Any], Any],
    words: tuple[str, str, str],
    line: Callable[[Any], str],
    show: Callable[[Answers], None],
    as_json: bool,
) -> NoReturn:
    """Ask all hosts of a target who is there, do something about the one that is meant, and exit.

    Without an id it is the only one there is on any host; a host that gave no answer may have
    another one, and so may nobody be taken.

    Args:
        question: asks one host; `some` are those of its answer that may be meant, with their ids.
            `show` prints all answers, where it is not clear who is meant.
        wanted: the id that was typed, or how it begins.
        act: does it, on the host of the one that is meant.
        words: what is being done and what was done, for people, and what they are who may be meant.
        line: describes one of them.
    """
    doing, done, them = words
    refused: list[str] = []
    seen: list[Answers] = []
    meant: list[tuple[str, Any]] = []

    def choose(answers: Answers) -> tuple[str, Question, str] | None:
        seen.append(answers)
        there = [
            (identifier, name, one)
            for name, answer in answers.items()
            if not answer.error
            for identifier, one in some(answer.value)
        ]
        silent = [name for name, answer in answers.items() if answer.error]
        try:
            meant.append(_chosen(there, wanted, silent, them))
        except _NotClear as error:
            refused.append(str(error))
            return None
        name, one = meant[0]
        return name, lambda host: act(host, one), doing

    with contextlib.redirect_stdout(sys.stderr):  # what a user's own inventory prints
        session = asking.opened(target, **options, moving=True)
        answers = asking.ask(session, question, what, choose)
    if refused:
        _refuse(refused[0], seen[0], show, as_json)
    name, one = meant[0]
    error = answers[name].error
    if as_json:
        told = {"error": error} if error else {done: asdict(one)}
        sys.stdout.write(json.dumps({"hosts": {name: told}}, indent=2) + "\n")
    elif error:
        asking.print_errors(answers)
    else:
        print(f"{name}: {done} {line(one)}")
    leave(FAILED if error else 0)


class _NotClear(Exception):
    """It is not clear who is meant."""


def _chosen(
    there: Sequence[tuple[str, str, Any]], wanted: str | None, silent: Sequence[str], them: str
) -> tuple[str, Any]:
    """Return the host and the one that is meant, of ids, hosts and all who may be."""
    found = there
    if wanted is not None:
        found = [one for one in there if one[0] == wanted]
        if not found and len(wanted) >= NEAREST:
            found = [one for one in there if one[0].startswith(wanted)]
    elif silent:
        raise _NotClear(
            f"no answer from {', '.join(silent)}: say who is meant with --id or --limit"
        )
    if len(found) == 1:
        return found[0][1:]
    if not there:
        raise _NotClear(f"there are no {them}")
    if not found:
        raise _NotClear(f"none of the {them} has the id {wanted!r}")
    ids = {one[0] for one in found}
    how = "--limit HOST" if len(ids) == 1 else "--id ID"
    raise _NotClear(f"there are {len(found)} {them}: say which one is meant, with {how}")


def _refuse(
    message: str, answers: Answers, show: Callable[[Answers], None], as_json: bool
) -> NoReturn:
    if as_json:
        sys.stdout.write(json.dumps({"hosts": {}, "error": message}, indent=2) + "\n")
    else:
        show(answers)
    ERRORS.print(said(f"Error: {message}", "bold red"))
    leave(FAILED)
