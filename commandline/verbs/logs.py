"""`./claw logs`: what the gateway has written, and writes."""

from __future__ import annotations

from typing import Any

import click

from commandline import streaming
from commandline.options import MANY, examples, target_options
from commandline.verbs.cli import missing
from operations.gateway import form
from toolkit.settings import Settings


@click.command(
    epilog=examples("./claw logs -f", "./claw logs inventories/fleet.yml --limit claw1 --tail 20")
)
@target_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes (Ctrl-C ends it).")
@click.option(
    "--tail",
    type=click.IntRange(min=0, max=MANY),
    default=100,
    metavar="LINES",
    help="How much of the past (default 100).",
)
def logs(target: str | None, follow: bool, tail: int, **options: Any) -> None:
    """Print the gateway's log."""
    streaming.run(
        target,
        options,
        lambda settings, up: log_command(settings, follow, tail, up),
        "Reading the gateway's log",
        hang_up=follow,
    )


def log_command(settings: Settings, follow: bool, tail: int, up: str) -> str:
    """Return the shell line that prints the gateway's log as it is; `up` makes one."""
    return form.of(settings).log(settings, tail, follow, missing(settings, up))
