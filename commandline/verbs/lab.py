"""`./claw lab`: hosts to try the toolkit out on, as containers on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.table import Table

from commandline.command_group import Verbs
from commandline.options import examples, fail, leave
from commandline.screen import tables
from lab import breaks, fleet
from lab import hosts as lab_hosts

INVENTORY = "inventories/lab.yml"
WHAT = click.Choice(tuple(breaks.BREAKS))


def _examples(*lines: str) -> str:
    return examples(*(f"./claw lab {line}" for line in lines), target=False)


@click.group(cls=Verbs, epilog=_examples("up 3", "break lab2 cut-network", "down"))
def lab() -> None:
    """Hosts to try a fleet on: containers that look like a VPS.

    Needs root on Debian 12 or 13. The hosts run on a Docker Engine of their own, beside any that
    this machine has; it is installed and started if need be.
    """


@lab.command(epilog=_examples("up 3", f"up 1 --suite {lab_hosts.SUITES[1]}"))
@click.argument("number", type=click.IntRange(1, 99), default=3)
@click.option(
    "--suite",
    type=click.Choice(lab_hosts.SUITES),
    default=lab_hosts.SUITES[0],
    show_default=True,
)
def up(number: int, suite: str) -> None:
    """Make the lab NUMBER hosts strong (default 3).

    Hosts that are there stay.
    """
    with _errors():
        found = fleet.up(number, suite, lambda text: print(text, file=sys.stderr))
    _show(found)
    if fleet.name() == "lab":
        print(f"\nNext: ./claw up {INVENTORY}")
    leave(0)


@lab.command(epilog=_examples("status"))
def status() -> None:
    """Show the hosts, and what is broken on them. Exit code 1 if there is none."""
    with _errors():
        fleet.need_engine()
        found = fleet.members()
    if not found:
        fail("the lab has no hosts; first: ./claw lab up 3")
    _show(found)
    leave(0)


@lab.command(epilog=_examples("down"))
def down() -> None:
    """Remove the hosts and everything on them."""
    with _errors():
        gone = fleet.down()
    print(f"Removed: {', '.join(gone)}" if gone else "There was no host to remove.")
    leave(0)


@lab.command("break", epilog=_examples("break lab2 cut-network"))
@click.argument("name")
@click.argument("what", type=WHAT)
def break_(name: str, what: str) -> None:
    """Break a host: see what a run does then. `mend` puts it right."""
    with _errors():
        breaks.BREAKS[what][1](fleet.find(name))
    print(f"{name}: {what}: {breaks.BREAKS[what][0]}")
    if what in breaks.MENDS:
        print(f"To put it right: ./claw lab mend {name} {what}")
    leave(0)


break_.help = f"{break_.help}\n\n\b\n" + "\n".join(
    f"{name:12} {meaning}" for name, (meaning, _) in breaks.BREAKS.items()
)


@lab.command(epilog=_examples("mend lab2"))
@click.argument("name")
@click.argument("what", type=click.Choice(tuple(breaks.MENDS)), required=False)
def mend(name: str, what: str | None) -> None:
    """Put right what `break` did to a host (default: all of it)."""
    with _errors():
        host = fleet.find(name)
        broken = [what] if what else breaks.holding(host)
        for one in broken:
            breaks.MENDS[one](host)
    print(f"{name}: {', '.join(broken) or 'nothing was broken'}{' mended' if broken else ''}")
    leave(0)


def _show(members: list[fleet.Member]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Host", "Debian", "Address", "State", "Log in"):
        table.add_column(column)
    for one in members:
        state = "stopped"
        if one.running:
            broken = breaks.holding(lab_hosts.Host(one.name, one.suite, one.address))
            state = ", ".join(broken) or "running"
        login = lab_hosts.shell_command(one.name)
        table.add_row(one.name, one.suite, one.address, state, login)
    tables.screen(240).print(table)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        with lab_hosts.named():
            yield
    except lab_hosts.LabError as error:
        fail(str(error))
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "what it said is above").strip()
        fail(f"{error.cmd[0]} failed ({error.returncode}): {said}")
