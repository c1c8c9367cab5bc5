"""`./claw remove`: a deployment is taken off its hosts."""

from __future__ import annotations

from typing import Any

import click
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import State

from commandline import changing
from commandline.options import examples
from commandline.results import RunResult
from operations.lifecycle import removal
from operations.lifecycle.removal import Purge
from toolkit import terminal
from toolkit.settings import settings_for


@click.command(
    epilog=examples(
        "./claw remove root@203.0.113.7 --dry",
        "./claw remove root@203.0.113.7 --purge-data --yes-purge openclaw",
    )
)
@changing.change_options
@click.option(
    "--purge-data",
    is_flag=True,
    help="Also all that OpenClaw knows: state, workspaces, .env, volumes; asks for the name.",
)
@click.option(
    "--yes-purge",
    multiple=True,
    metavar="NAME",
    help="The name of the deployment whose data go, instead of the question (repeatable).",
)
@click.option(
    "--purge-engine",
    is_flag=True,
    help="Also Docker and the packages that the toolkit brought, where nobody else uses them.",
)
def remove(
    target: str | None,
    yes: bool,
    purge_data: bool,
    yes_purge: tuple[str, ...],
    purge_engine: bool,
    **options: Any,
) -> None:
    """Take the deployment off its hosts; what OpenClaw knows stays.

    Shows what goes and what stays, each with the reason, and asks. A turn that is running is
    finished first. State, workspaces, .env and volumes stay without --purge-data. Other deployments
    on the host go on running. Run it again after it was killed, and it finishes.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    if yes_purge and not purge_data:
        raise click.UsageError("--yes-purge goes with --purge-data")
    names: set[str] = set()

    def prepare(state: State) -> None:
        removal.choose(state, Purge(purge_data, purge_engine))
        hosts = [host for host in state.inventory if state.is_host_in_limit(host)]
        names.update(settings_for(host).name for host in hosts)
        if yes_purge and (wrong := sorted(names ^ set(yes_purge))):
            there = ", ".join(sorted(names))
            raise PyinfraError(
                f"--yes-purge must name the deployments of these hosts, which are {there};"
                f" not so: {', '.join(wrong)}"
            )

    def typed(_: RunResult) -> bool:
        return all(
            terminal.ask(f"All that OpenClaw knows goes. Type {name} to remove it: ").strip()
            == name
            for name in sorted(names)
        )

    flags = [
        flag
        for flag, given in (("--purge-data", purge_data), ("--purge-engine", purge_engine))
        if given
    ]
    changing.run(
        "remove",
        target,
        yes=bool(yes_purge) if purge_data else yes,
        prepare=prepare,
        looks=False,
        confirmed=typed if purge_data else None,
        more_flags=(*flags, *(word for name in yes_purge for word in ("--yes-purge", name))),
        nobody=f"--yes-purge {'NAME'}" if purge_data else "-y",
        **options,
    )
