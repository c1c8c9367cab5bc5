"""`./claw backups`: those in the repository, and how the newest backup and drill ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from pyinfra.api.host import Host

from commandline import asking
from commandline.options import examples, json_option, target_options
from commandline.screen import tables
from commandline.screen.given import Given
from operations.backup import listing
from operations.backup.listing import Listing
from toolkit.settings import settings_for
from toolkit.terminal import said


@click.command(epilog=examples("./claw backups", "./claw backups inventories/fleet.yml --json"))
@target_options
@click.option("--all-hosts", is_flag=True, help="Those of other hosts in the repository, too.")
@json_option
def backups(target: str | None, all_hosts: bool, as_json: bool, **options: Any) -> None:
    """List the backups, and how the newest one and its drill ended.

    Exit code 1 if a host has no backup, or its newest backup or drill failed.
    """
    given = Given.of(target, options)

    def look(host: Host) -> Listing:
        return listing.ask(host, settings_for(host), given.for_host("up", host.name), all_hosts)

    asking.run(
        target,
        options,
        look,
        "Asking the repositories for backups",
        show=asking.each(_show),
        failed=lambda found: not found.healthy,
        as_json=as_json,
        document=lambda found: asdict(found) | {"healthy": found.healthy},
    )


def _show(name: str, found: Listing) -> None:
    console = tables.screen(200)
    table = tables.plain("Backup", "Host", "When", "Release", "Size", host=name)
    for one in found.backups:
        when = f"{one.created[:19]}Z" if one.created.endswith("Z") else one.created
        table.add_row(
            said(one.id), said(one.host), said(when), said(one.release), said(_size(one.bytes))
        )
    if found.backups:
        console.print(table)
    else:
        console.print(f"{name}: there is no backup; ./claw backup makes one")
    for what, line in (("Newest backup", found.last), ("Newest drill", found.drilled)):
        if line:
            console.print(said(f"{what}: {line}", "red" if " failed " in line else ""))
    if found.drill_failed:
        console.print(said(f"A later drill: {found.drill_failed}", "red"))


def _size(number: int) -> str:
    return f"{number / (1 << 20):.1f} MiB"
