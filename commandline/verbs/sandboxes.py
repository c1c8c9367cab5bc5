"""`./claw sandboxes`: which there are, which are out of date, and away with those."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.table import Table

from commandline import asking
from commandline.options import examples, json_option, target_options
from commandline.screen import tables
from commandline.screen.words import count, duration
from operations.base import snapshot
from operations.base.waits import waiting
from operations.sandbox import running
from operations.sandbox.running import Sandbox
from toolkit.settings import settings_for
from toolkit.terminal import said


@click.command(epilog=examples("./claw sandboxes", "./claw sandboxes root@203.0.113.7 --recreate"))
@target_options
@click.option("--recreate", is_flag=True, help="Remove the stale ones; those in use too.")
@click.option("--all", "every", is_flag=True, help="With --recreate: all of them.")
@json_option
def sandboxes(
    target: str | None, recreate: bool, every: bool, as_json: bool, **options: Any
) -> None:
    """List the sandboxes, and which of them are out of date.

    Out of date is what runs of an earlier image or policy.

    `./claw up` recreates the idle ones and leaves those in use. OpenClaw makes a sandbox anew when
    its agent uses it next; what is running in it is lost.
    """

    def look(host: Host) -> list[Sandbox]:
        with ctx_host.use(host):
            return there(host, recreate, every)

    asking.run(
        target,
        options,
        look,
        "Looking at the sandboxes",
        show=asking.each(_show),
        as_json=as_json,
        document=lambda found: {"sandboxes": [asdict(one) for one in found]},
    )


def there(host: Host, recreate: bool, every: bool) -> list[Sandbox]:
    """Return the sandboxes of the current host.

    With `recreate` those that are stale (with `every`: all) are removed, and said to be.
    """
    settings = settings_for(host)
    found = {one.name: one for one in running.all_of(settings)}
    if not recreate:
        return list((found | {one.name: one for one in running.stale(settings)}).values())
    chosen = [one for one in found.values() if one.reasons or every]
    if chosen:
        with waiting(f"OpenClaw removes {count(len(chosen), 'sandbox', 'es')}"):
            script = running.recreate_script(settings, chosen)
            snapshot.run_quietly(host, script, running.COMMANDS_SECONDS)
    return [replace(one, state="removed") if one in chosen else one for one in found.values()]


def _show(name: str, found: list[Sandbox]) -> None:
    console = tables.screen(200)
    if found:
        console.print(table(name, found))
    else:
        console.print(f"{name}: no sandbox is there")


def table(host: str, found: list[Sandbox]) -> Table:
    """Return a row for each sandbox of a host."""
    columns = ("Sandbox", "Agent", "State", "Unused for", "Stale because")
    result = tables.plain(*columns, host=host)
    for one in found:
        idle = "" if one.idle_seconds is None else duration(max(0.0, one.idle_seconds))
        reasons = said("; ".join(one.reasons), "yellow")
        result.add_row(said(one.name), said(one.agent), said(one.state), idle, reasons)
    return result
