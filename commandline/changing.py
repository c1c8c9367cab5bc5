"""The frame of the verbs that change hosts: the plan, the question, the run, what is said of it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
from pyinfra.api.state import State

from commandline.options import (
    ERRORS,
    MANY,
    json_option,
    leave,
    overrides,
    rollout_options,
    target_options,
)
from commandline.results import RunResult
from commandline.run.runner import Runner
from commandline.run.session import Options
from commandline.screen.display import Display
from commandline.screen.given import Given
from commandline.screen.live_display import LiveDisplay
from commandline.screen.reports import Report
from commandline.targets import ROOT
from operations import activation
from toolkit import terminal

DEPLOYS = ROOT / "deploys"
NOBODY_TO_ASK = (
    "Changes are pending, and nobody can be asked. To make them: {0} {1}; to look: --dry"
)


rehearsal_option = click.option(
    "--no-rehearsal",
    is_flag=True,
    help="Do not try another image on a copy of the state before the old gateway stops.",
)


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every verb takes that changes hosts, beside `target_options`."""
    for decorate in (
        rollout_options,
        click.option(
            "--wait-lock",
            type=click.IntRange(min=0, max=MANY),
            default=0,
            metavar="SECONDS",
            help="Wait that long for another run on the same host (default: stop at once).",
        ),
        json_option,
        click.option(
            "--dry", is_flag=True, help="Only show what would change (exit code 2 if anything)."
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask before changing anything."),
        target_options,
    ):
        function = decorate(function)
    return function


def run(
    verb: str,
    target: str | None,
    assignments: tuple[str, ...],
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    verbose: int,
    yes: bool,
    dry: bool,
    as_json: bool,
    wait_lock: int,
    *,
    deploy: Path | None = None,
    diff: bool = False,
    timeline: Path | None = None,
    more_flags: tuple[str, ...] = (),
    prepare: Callable[[State], None] = lambda state: None,
    confirmed: Callable[[RunResult], bool] | None = None,
    nobody: str = "-y",
    no_rehearsal: bool = False,
    looks: bool = True,
    itself: str | None = None,
    **rollout: Any,
) -> NoReturn:
    """Plan what a deploy file does, ask, do it, print what came of it, and exit.

    Args:
        deploy: the deploy file; default: that of the verb in `deploys/`.
        more_flags: further options of the verb as they were typed, for commands that are printed.
        prepare: called once the inventory is loaded, before anything is planned.
        confirmed: asks instead of the usual question; not asked with `-y`.
        nobody: what says so where nobody can be asked.
        no_rehearsal: what `rehearsal_option` takes.
        looks: the hosts that were changed are looked at from outside.
        itself: the host of the target that this machine is.
        rollout: what `rollout_options` takes.
    """
    console = ERRORS if as_json else terminal.Screen(soft_wrap=True)
    typed = (*flags(yes, dry, diff, wait_lock, rollout), *more_flags)
    if no_rehearsal:
        typed = (*typed, "--no-rehearsal")
    given = Given(target, assignments, limit, exclude, typed, verb)
    report = Report(console, ERRORS, given)
    ask = not yes and terminal.can_ask()

    def prepared(state: State) -> None:
        prepare(state)
        if no_rehearsal:
            activation.leave_out_rehearsal(state)

    def confirm(result: RunResult) -> bool:
        if not as_json:
            report.plan(result)
        if yes:
            return True
        if not ask:
            ERRORS.print(NOBODY_TO_ASK.format(given.command(verb), nobody), style="bold red")
        return ask and (confirmed or _confirmed)(result)

    display = (LiveDisplay if console.is_terminal and verbose >= 0 else Display)(console, verbose)
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        options = Options(
            target,
            overrides(assignments),
            limit,
            exclude,
            verbose,
            diff,
            ask,
            rollout,
            given,
            itself,
        )
        file = (deploy or DEPLOYS / f"{verb}.py").resolve()
        runner = Runner(file, options, display, dry, confirm, wait_lock, timeline, prepared, looks)
        result = runner.run()
    report.given = given.about(result.hosts)
    if as_json:
        sys.stdout.write(json.dumps(result.document(), indent=2) + "\n")
    elif result.error is not None or result.declined or result.interrupted is not None:
        pass  # what is said below is all
    elif dry:
        report.plan(result)
    else:
        report.summary(result, runner.session.hosts)
    if result.declined:
        ERRORS.print("Nothing was changed.")
    elif result.interrupted is not None:
        report.interruption(result)
    report.failures(result)
    if not as_json:
        report.timeline(result)
    leave(result.exit_code)


def flags(
    yes: bool, dry: bool, diff: bool, wait_lock: int, rollout: dict[str, Any]
) -> tuple[str, ...]:
    """Return the options that decide what a run does, as they were typed."""
    found = [flag for flag, given in (("-y", yes), ("--dry", dry), ("--diff", diff)) if given]
    for name, value in {"wait_lock": wait_lock or None, **rollout}.items():
        if value is not None:
            found += [f"--{name.replace('_', '-')}", str(value)]
    return tuple(found)


def _confirmed(result: RunResult) -> bool:
    return terminal.ask("Make these changes? [y/N] ").strip().lower() in ("y", "yes")
