"""`./claw drill`: the newest backup restored, to see that it can be."""

from __future__ import annotations

from typing import Any

import click

from commandline import streaming
from commandline.options import examples, target_options
from operations.backup import listing


@click.command(epilog=examples("./claw drill", "./claw drill inventories/fleet.yml --limit claw1"))
@target_options
def drill(target: str | None, **options: Any) -> None:
    """Restore the newest backup into a throw-away gateway.

    It has no network, channels and cron, must become ready, and must hold what the backup
    counted. Nothing of the deployment is touched.
    """
    streaming.run(
        target,
        options,
        lambda settings, up: listing.command(settings, "drill", up),
        "Restoring the newest backup to try it",
    )
