"""`./claw stop`: the gateway alone, as it is; nothing else of a host changes."""

from __future__ import annotations

from typing import Any

import click

from commandline import changing
from commandline.options import examples


@click.command(epilog=examples("./claw stop root@203.0.113.7", "./claw stop fleet.yml --limit web"))
@changing.change_options
def stop(target: str | None, **options: Any) -> None:
    """Stop the gateway; a turn that is running is finished first.

    The gateway takes nothing new and has up to 315 seconds for what it is doing; what is cut
    then goes on at its next start. It stays stopped, over a reboot too, until
    `./claw start` or `./claw up`.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    changing.run("stop", target, looks=False, **options)
