"""`./claw up`: a run, what it is asked for and what is said of it."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from commandline import targets
from commandline.options import (
    ERRORS,
    MANY,
    examples,
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
from toolkit import terminal

DEPLOY = str(targets.ROOT / "deploy.py")
NOBODY_TO_ASK = "Changes are pending, and nobody can be asked. To make them: {0} -y; to look: --dry"


@click.command(
    epilog=examples(
        "./claw up root@203.0.113.7", "./claw up inventories/fleet.yml --limit web --dry --diff"
    )
)
@target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask before changing anything.")
@click.option("--dry", is_flag=True, help="Only show what would change (exit code 2 if anything).")
@click.option("--diff", is_flag=True, help="Show how files would change (never secrets).")
@json_option
@click.option(
    "--wait-lock",
    type=click.IntRange(min=0, max=MANY),
    default=0,
    metavar="SECONDS",
    help="Wait that long for another run on the same host (default: stop at once).",
)
@rollout_options
@click.option(
    "--timeline",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the timeline of the run (HTML) there.",
)
@click.option("--deploy", default=DEPLOY, hidden=True)
def up(
    target: str | None,
    assignments: tuple[str, ...],
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    verbose: int,
    yes: bool,
    dry: bool,
    diff: bool,
    as_json: bool,
    wait_lock: int,
    timeline: Path | None,
    deploy: str,
    **rollout: Any,
) -> None:
    """Provision hosts: engine, images, gateway. Run it again and it changes nothing.

    Shows what would change and asks before it does; without a terminal it changes nothing unless -y
    is given.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    stdout = terminal.Screen(soft_wrap=True)
    console = ERRORS if as_json else stdout
    flags = _flags(yes, dry, diff, wait_lock, deploy, rollout)
    given = Given(target, assignments, limit, exclude, flags)
    report = Report(console, ERRORS, given)
    ask = not yes and terminal.can_ask()

    def confirm(result: RunResult) -> bool:
        if not as_json:
            report.plan(result)
        if yes:
            return True
        if not ask:
            ERRORS.print(NOBODY_TO_ASK.format(given.command("up")), style="bold red")
        return ask and _confirmed()

    display = (LiveDisplay if console.is_terminal and verbose >= 0 else Display)(console, verbose)
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        options = Options(
            target, overrides(assignments), limit, exclude, verbose, diff, ask, rollout, given
        )
        file = Path(deploy).resolve()
        runner = Runner(file, options, display, dry, confirm, wait_lock, timeline)
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


def _flags(
    yes: bool, dry: bool, diff: bool, wait_lock: int, deploy: str, rollout: dict[str, Any]
) -> tuple[str, ...]:
    """Return the options of `up` that decide what a run does, as they were typed."""
    flags = [flag for flag, given in (("-y", yes), ("--dry", dry), ("--diff", diff)) if given]
    values = {"wait_lock": wait_lock or None, **rollout}
    values["deploy"] = None if deploy == DEPLOY else deploy
    for name, value in values.items():
        if value is not None:
            flags += [f"--{name.replace('_', '-')}", str(value)]
    return tuple(flags)


def _confirmed() -> bool:
    return terminal.ask("Make these changes? [y/N] ").strip().lower() in ("y", "yes")
