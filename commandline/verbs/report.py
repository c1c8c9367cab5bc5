"""`./claw report`: a fleet at a moment, as one page that can be sent."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from commandline import asking
from commandline.asking import Answer
from commandline.options import ERRORS, examples, fail, leave, target_options
from commandline.results import FAILED
from commandline.run import history
from commandline.screen import fleet_page
from commandline.screen.given import Given
from commandline.verbs import status
from operations.lifecycle import runs
from toolkit import atomic
from toolkit.terminal import said, unguarded

FILE = "openclaw-report.html"
KEPT_RUNS = 5
"""Of which the page shows where the time went."""


@click.command(
    epilog=examples("./claw report", "./claw report inventories/fleet.yml --output fleet.html")
)
@target_options
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(FILE),
    metavar="FILE",
    help=f"Where to write it (default {FILE}), for you alone (0600); -: standard output.",
)
def report(target: str | None, output: Path, **options: Any) -> None:
    """Write one HTML page about all hosts.

    Releases, health, backups, drills, drift, the last runs and where their time went, without a
    script and without anything from outside; no secrets are in it. Exit code 1 if a host gave no
    answer, which the page says too.
    """
    if str(output) != "-":
        _check(output)
    given = Given.of(target, options)
    with contextlib.redirect_stdout(sys.stderr):  # what a user's own inventory prints
        session = asking.opened(target, **options, moving=True)
        answers = asking.ask(session, runs.look, "Looking at what runs")
    html = page(answers, given, session.options.target_name)
    if str(output) == "-":
        unguarded(sys.stdout).write(html)
    else:
        try:
            atomic.replace(output, html, 0o600)
        except OSError as error:
            fail(f"--output {output}: {error.strerror}")
        if session.options.verbosity >= 0:
            ERRORS.print(said(f"{output}: {len(answers)} hosts", "dim"))
    asking.print_errors(answers)
    leave(FAILED if any(answer.error for answer in answers.values()) else 0)


def page(answers: asking.Answers, given: Given, target: str) -> str:
    """Return the page of what the hosts answered to `runs.look`."""
    looked = {name: answer.value for name, answer in answers.items() if not answer.error}
    return fleet_page.render(
        looked,
        {name: answer.error for name, answer in answers.items() if answer.error},
        status.attention({name: Answer(one.status) for name, one in looked.items()}, given),
        history.last_runs(given.target, KEPT_RUNS),
        target,
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _check(output: Path) -> None:
    """Leave if a file cannot be written, before any host is asked."""
    folder = output.parent
    if output.is_dir():
        fail(f"--output {output}: it is a directory; accepted: a file, or - for standard output")
    if not folder.is_dir():
        fail(f"--output {output}: there is no directory {folder}; accepted: a file in one")
    if not os.access(folder, os.W_OK):
        fail(f"--output {output}: you may not write to {folder}")
