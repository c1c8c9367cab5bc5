"""What the verbs share: options, the way out, and where errors go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from commandline import errors, targets, typed_secrets
from commandline.results import FAILED
from toolkit import secret_names, terminal
from toolkit.terminal import Screen

ERRORS = Screen(stderr=True, soft_wrap=True)
MANY = 10**6
"""The largest number that an option takes: more hosts, lines and seconds than anybody has."""
TARGET_HELP = """TARGET is one of
  (nothing)              this machine
  root@203.0.113.7       a host over SSH; also USER@HOST:PORT, [IPV6]:PORT,
                         a name from ~/.ssh/config
  inventories/fleet.yml  an inventory, YAML or Python
  MODULE:FUNCTION        what a Python function returns; @terraform/OUTPUT,
                         @docker/CONTAINER: what that tool knows"""


def examples(*lines: str, target: bool = True) -> str:
    """Return the end of a verb's help: commands as one types them, and what TARGET may be."""
    parts = ["\n".join([f"Example{'s' if len(lines) > 1 else ''}:", *(f"  {x}" for x in lines)])]
    return "".join(f"\n\n\b\n{part}" for part in [*parts, *([TARGET_HELP] if target else [])])


def files(*_: object) -> list[CompletionItem]:
    """Complete a target by the names of files; what else it may be, nobody can list."""
    return [CompletionItem("", type="file")]


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every verb about hosts takes; `-q` is a `verbose` of -1."""

    @wraps(function)
    def folded(*arguments: Any, verbose: int, quiet: bool, **options: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose are opposites: give one of them")
        return function(*arguments, verbose=-1 if quiet else verbose, **options)

    for decorate in (
        click.option(
            "-q", "--quiet", is_flag=True, help="Only results, warnings and errors: no progress."
        ),
        click.option(
            "-v", "--verbose", count=True, help="Notes; -vv: commands; -vvv: their output."
        ),
        click.option(
            "--exclude", multiple=True, metavar="HOST[,HOST]", help="Not these hosts or groups."
        ),
        click.option(
            "--limit",
            multiple=True,
            metavar="HOST[,HOST]",
            help="Only these hosts or groups (wildcards allowed; @failed: those that the last "
            "`up` of this target did not finish).",
        ),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a setting, for example --set gateway.port=19000 (repeatable).",
        ),
        click.argument("target", required=False, shell_complete=files),
    ):
        folded = decorate(folded)
    return folded


json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output."
)


def rollout_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what decides in which steps a fleet is changed; without them the inventory does."""
    count = click.IntRange(min=0, max=MANY)
    for decorate in (
        click.option(
            "--max-failures",
            type=count,
            metavar="N",
            help="Hosts that may fail before no further batch begins (default 0).",
        ),
        click.option(
            "--parallel",
            type=click.IntRange(min=1, max=MANY),
            metavar="N",
            help="At most N hosts at a time.",
        ),
        click.option(
            "--batch",
            metavar="N|P%",
            help="Size of the batches after the canary (default 25% of more than 4 gateways).",
        ),
        click.option(
            "--canary", type=count, metavar="N", help="Change N hosts first (default 1, likewise)."
        ),
    ):
        function = decorate(function)
    return function


def has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def overrides(pairs: tuple[str, ...]) -> dict[str, Any]:
    for key, _, value in (pair.partition("=") for pair in pairs):
        if value and value[0] not in "{[" and secret_names.plainly(key):
            fail(f"--set {key}: {typed_secrets.IN_THE_INVENTORY}")
    try:
        return targets.parse_assignments(pairs)
    except targets.TargetError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    ERRORS.print(f"Error: {message}", style="bold red")
    leave(FAILED)


def leave(code: int) -> NoReturn:
    """Leave without waiting for what still hangs (a dead connection, a greenlet)."""
    if where := errors.written(failed=code == FAILED):
        ERRORS.print(where, markup=False, highlight=False)
    os._exit(terminal.exit_code(code))
