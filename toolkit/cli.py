"""The command line: `./claw VERB [TARGET]`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import gevent.socket
from rich.console import Console

from toolkit import targets
from toolkit.display import Display, LiveDisplay
from toolkit.reports import Report
from toolkit.results import FAILED, RunResult
from toolkit.runner import Runner
from toolkit.session import Options

ROOT = targets.ROOT
TARGET_HELP = """

\b
TARGET is one of
  (nothing)              this machine
  root@203.0.113.7       a host over SSH; also USER@HOST:PORT, [IPV6]:PORT,
                         a name from ~/.ssh/config
  inventories/fleet.yml  an inventory, YAML or Python
"""


def main() -> None:
    """Run the command line; exits."""
    # What user-written Python inventories import is beside them or where the user is.
    sys.path.append(str(Path.cwd()))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    cli(prog_name="./claw")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Provisions an OpenClaw gateway on this machine or on hosts over SSH.

    Start with `./claw up` (this machine) or `./claw up root@HOST`.
    """


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every verb about hosts takes."""
    for decorate in (
        click.option(
            "-v", "--verbose", count=True, help="Notes; -vv: commands; -vvv: their output."
        ),
        click.option(
            "--limit", multiple=True, metavar="HOST[,HOST]", help="Only these hosts or groups."
        ),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a setting, for example --set gateway.port=19000 (repeatable).",
        ),
        click.argument("target", required=False),
    ):
        function = decorate(function)
    return function


@cli.command(epilog=TARGET_HELP)
@target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask before changing anything.")
@click.option("--dry", is_flag=True, help="Only show what would change (exit code 2 if anything).")
@click.option("--diff", is_flag=True, help="Show how files would change (never secrets).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option(
    "--wait-lock",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait that long for another run on the same host (default: stop at once).",
)
@click.option("--deploy", default=str(ROOT / "deploy.py"), hidden=True)
def up(
    target: str | None,
    assignments: tuple[str, ...],
    limit: tuple[str, ...],
    verbose: int,
    yes: bool,
    dry: bool,
    diff: bool,
    as_json: bool,
    wait_lock: float,
    deploy: str,
) -> None:
    """Provision hosts: engine, images, gateway. Run it again and it changes nothing.

    Shows what would change and, on a terminal, asks before it does (unless -y).

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    stdout = Console(soft_wrap=True, highlight=False)
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    console = stderr if as_json else stdout
    report = Report(console, stderr, target)
    ask = not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty()

    def confirm(result: RunResult) -> bool:
        if as_json:
            return True
        report.plan(result)
        return not ask or _confirmed()

    display = (LiveDisplay if console.is_terminal else Display)(console, verbose)
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        options = Options(target, _assignments(assignments), limit, verbose, diff, interactive=ask)
        runner = Runner(Path(deploy).resolve(), options, display, dry, confirm, wait_lock)
        result = runner.run()
    if as_json:
        sys.stdout.write(json.dumps(result.document(), indent=2) + "\n")
    elif dry:
        report.plan(result)
    elif result.error is None and not result.declined and result.interrupted is None:
        report.summary(result, runner.session.hosts)
    if result.declined:
        stderr.print("Nothing was changed.")
    elif result.interrupted is not None:
        report.interruption(result)
    report.failures(result)
    _exit(result.exit_code)


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests; arguments go to pytest (try: ./claw test tests/unit)."""
    command = [sys.executable, "-m", "pytest", *(arguments or ("tests",))]
    _exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


def _assignments(pairs: tuple[str, ...]) -> dict[str, Any]:
    try:
        return targets.parse_assignments(pairs)
    except targets.TargetError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"Error: {error}", markup=False)
        _exit(FAILED)


def _confirmed() -> bool:
    print("Make these changes? [Y/n] ", end="", flush=True)
    gevent.socket.wait_read(sys.stdin.fileno())  # so that Ctrl-C is seen
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def _exit(code: int) -> Any:
    """Leave without waiting for what still hangs (a dead connection, a greenlet)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
