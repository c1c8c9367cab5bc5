"""`./claw up`: a run, and what it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from pyinfra.api.state import State

from commandline import changing, targets
from commandline.options import examples
from operations.backup import stage

DEPLOY = targets.ROOT / "deploy.py"


@click.command(
    epilog=examples(
        "./claw up root@203.0.113.7", "./claw up inventories/fleet.yml --limit web --dry --diff"
    )
)
@changing.change_options
@click.option("--diff", is_flag=True, help="Show how files would change (never secrets).")
@click.option(
    "--timeline",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the timeline of the run (HTML) there.",
)
@changing.rehearsal_option
@click.option("--deploy", default=str(DEPLOY), hidden=True)
@click.option("--as", "itself", metavar="HOST", hidden=True)  # of pull mode: HOST is this machine
@click.option("--existing-repository", is_flag=True, hidden=True)  # of `restore --from`
def up(target: str | None, deploy: str, existing_repository: bool, **options: Any) -> None:
    """Provision hosts: engine, images, gateway. Run it again and it changes nothing.

    Shows what would change and asks before it does; without a terminal it changes nothing unless -y
    is given. Another image is tried on a copy of the state first, while the old gateway serves.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    flags = () if deploy == str(DEPLOY) else ("--deploy", deploy)
    if itself := options["itself"]:
        flags += ("--as", itself)

    def prepare(state: State) -> None:
        if existing_repository:
            stage.make_no_repository(state)

    changing.run("up", target, deploy=Path(deploy), more_flags=flags, prepare=prepare, **options)
