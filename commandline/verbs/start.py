"""`./claw start`: the gateway alone, as it is; nothing else of a host changes."""

from __future__ import annotations

from typing import Any

import click

from commandline import changing
from commandline.options import examples


@click.command(
    epilog=examples("./claw start root@203.0.113.7", "./claw start fleet.yml --limit web")
)
@changing.change_options
def start(target: str | None, **options: Any) -> None:
    """Start the gateway as it was, and wait until it is ready.

    Settings that have changed since are not applied: `./claw up` does that, and starts it too.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    changing.run("start", target, **options)
