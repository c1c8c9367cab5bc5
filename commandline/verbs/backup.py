"""`./claw backup`: a backup now."""

from __future__ import annotations

from typing import Any

import click

from commandline import streaming
from commandline.options import examples, target_options
from operations.backup import listing


@click.command(epilog=examples("./claw backup", "./claw backup inventories/fleet.yml"))
@target_options
def backup(target: str | None, **options: Any) -> None:
    """Back up now, into the repository of the settings.

    OpenClaw's own verified archive, the compose files with .env, the settings, and the key of the
    auth profiles. The gateway goes on running.
    """
    streaming.run(
        target,
        options,
        lambda settings, up: listing.command(settings, "create", up),
        "Backing up",
    )
