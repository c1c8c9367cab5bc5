"""`./claw restore`: a backup becomes the deployment's state again."""

from __future__ import annotations

import re
from typing import Any

import click
from pyinfra.api.state import State

from commandline import changing
from commandline.options import examples
from operations.lifecycle import restoring


@click.command(
    epilog=examples("./claw restore", "./claw restore root@203.0.113.7 --backup 0123abcd --dry")
)
@changing.change_options
@click.option(
    "--backup",
    default=restoring.LATEST,
    metavar="ID",
    help="Which one; ./claw backups lists them (default: the newest of each host).",
)
def restore(target: str | None, backup: str, **options: Any) -> None:
    """Restore a backup: state, workspace, token and credentials.

    All of it is unpacked before the gateway stops. What it replaces stays beside it; if the
    gateway does not become ready, it is put back. Onto a new host: ./claw up first, then this
    with --backup.

    \b
    Exit codes: 0 done, 1 failed, 2 changes pending (--dry), 130 interrupted.
    """
    if not re.fullmatch(f"[0-9a-f]{{8,64}}|{restoring.LATEST}", backup):
        raise click.BadParameter(
            "accepted: the ID of a backup, as ./claw backups shows it", param_hint="--backup"
        )

    def prepare(state: State) -> None:
        restoring.choose(state, backup)

    given = () if backup == restoring.LATEST else ("--backup", backup)
    changing.run("restore", target, more_flags=given, prepare=prepare, **options)
