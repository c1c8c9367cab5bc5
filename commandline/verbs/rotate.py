"""`./claw rotate`: another token, or a credential that is read again."""

from __future__ import annotations

from typing import Any

import click
from pyinfra.api.state import State

from commandline import changing
from commandline.options import examples
from operations.lifecycle import rotation


@click.command(
    epilog=examples(
        "./claw rotate root@203.0.113.7",
        "./claw rotate inventories/fleet.yml --credential TELEGRAM_BOT_TOKEN",
    )
)
@changing.change_options
@click.option(
    "--credential",
    metavar="NAME",
    help="Not the token: read this credential of the inventory again, and bring only that.",
)
def rotate(target: str | None, credential: str | None, **options: Any) -> None:
    """Replace the gateway's token by a new one, and prove it.

    The host makes it. The old one is refused afterwards, over HTTP and WebSocket; files that still
    have it are named. The gateway restarts, and goes back to the old token if it does not get
    ready. Whatever is killed meanwhile, one token opens the gateway; a second `rotate` finishes.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """

    def prepare(state: State) -> None:
        rotation.choose(state, credential or "")

    changing.run(
        "rotate",
        target,
        more_flags=("--credential", credential) if credential else (),
        prepare=prepare,
        **options,
    )
