"""`./claw rollback`: what can be gone back to, and the way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.api.state import State
from rich.table import Table

from commandline import asking, changing
from commandline.options import MANY, examples
from commandline.screen import tables
from operations.lifecycle import generations
from operations.lifecycle.generations import Generation
from toolkit.settings import settings_for
from toolkit.terminal import said


@click.command(epilog=examples("./claw rollback", "./claw rollback root@203.0.113.7 --to 3"))
@changing.change_options
@click.option(
    "--to",
    "number",
    type=click.IntRange(min=1, max=MANY),
    metavar="N",
    help="Go back to that one; without it, what there is is listed.",
)
def rollback(target: str | None, number: int | None, as_json: bool, **options: Any) -> None:
    """List what ran before, or go back to it with its state.

    Image, compose files, .env, openclaw.json and state of then are back. What runs now becomes a
    generation of its own, with what was written since: it can be gone back to as well. If the
    earlier one does not become ready, what runs now is back.

    \b
    Exit codes: 0 done, 1 failed, 2 changes pending (--dry), 130 interrupted.
    """
    if number is None:
        _list(target, as_json, options)
        return

    def prepare(state: State) -> None:
        generations.choose(state, number)

    changing.run(
        "rollback",
        target,
        as_json=as_json,
        more_flags=("--to", str(number)),
        prepare=prepare,
        **options,
    )


def _list(target: str | None, as_json: bool, options: dict[str, Any]) -> None:
    def look(host: Host) -> list[Generation]:
        return generations.ask(host, settings_for(host))

    given = {name: options[name] for name in ("assignments", "limit", "exclude", "verbose")}
    asking.run(
        target,
        given,
        look,
        "Asking what can be gone back to",
        show=asking.each(_show),
        as_json=as_json,
        document=lambda found: {"generations": [asdict(one) for one in found]},
    )


def _show(name: str, found: list[Generation]) -> None:
    if found:
        tables.screen(200).print(table(name, found))
    else:
        tables.screen(200).print(f"{name}: there is nothing to go back to yet")


def table(name: str, found: list[Generation]) -> Table:
    """Return what a host can go back to."""
    made = tables.plain("Generation", "Release", "Until", "Size", "Then changed", host=name)
    for one in found:
        made.add_row(
            str(one.number),
            said(one.release),
            said(one.until),
            f"{one.bytes / (1 << 20):.1f} MiB",
            said(f"{', '.join(one.changed)}{f' ({one.missing} is gone)' if one.missing else ''}"),
        )
    return made
