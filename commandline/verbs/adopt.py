"""`./claw adopt`: an OpenClaw that somebody else has set up becomes the deployment's."""

from __future__ import annotations

from typing import Any

import click
from pyinfra.api.state import State

from commandline import changing
from commandline.options import examples
from operations.lifecycle import adoption
from toolkit import patterns


@click.command(
    epilog=examples(
        "./claw adopt root@203.0.113.7 --set name=claw --dry",
        "./claw adopt root@203.0.113.7 --set name=claw --undo",
    )
)
@changing.change_options
@click.option("--undo", is_flag=True, help="Give it back: it runs again as it was.")
@click.option(
    "--source",
    metavar="PATH",
    help="Which one: the path of its state, Compose directory or unit (default: the only one).",
)
def adopt(target: str | None, undo: bool, source: str | None, **options: Any) -> None:
    """Take over another OpenClaw that is there, or give it back.

    It is OpenClaw's own Docker set-up, a unit of a user or of the system, or a state alone, under
    its name of today or an old one. What it keeps is copied once it has stopped: token, agents,
    sessions, channels, plugins. If the deployment's gateway does not become ready with all of it,
    the other one runs again as before. Nothing of it is changed or removed, and it does not start
    again by itself.

    \b
    Exit codes: 0 done, 1 failed, 2 changes pending (--dry), 130 interrupted.
    """
    if source is not None and not patterns.matches(patterns.PATH, source):
        raise click.BadParameter("accepted: an absolute path on the host", param_hint="--source")
    if undo and source:
        raise click.UsageError("--undo gives back what the host has on record, without --source")

    def prepare(state: State) -> None:
        adoption.choose(state, source)

    flags = ("--undo",) if undo else ("--source", source) if source else ()
    file = changing.DEPLOYS / ("undo_adoption.py" if undo else "adopt.py")
    changing.run(
        "adopt",
        target,
        deploy=file,
        more_flags=flags,
        prepare=prepare,
        looks=not undo,
        **options,
    )
