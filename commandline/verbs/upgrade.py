"""`./claw upgrade`: another release of OpenClaw."""

from __future__ import annotations

from typing import Any

import click

from commandline import changing
from commandline.options import examples
from commandline.verbs.up import DEPLOY
from operations import upgrade as upgrading
from toolkit import patterns


@click.command(
    epilog=examples(
        "./claw upgrade root@203.0.113.7 2026.9.6", "./claw upgrade inventories/fleet.yml --dry"
    )
)
@changing.change_options
@changing.rehearsal_option
@click.argument("release", required=False)
def upgrade(
    target: str | None,
    release: str | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Bring RELEASE of OpenClaw, or the one that the inventory names.

    It is `up` with another gateway.version: the new image is tried on a copy of the state while the
    old gateway serves; then that stops, and if the new one does not become ready, image and state
    of before are back. A release below the running one is refused, and so is one that the next `up`
    would take back, because a line of the inventory names another: that line is said.

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    if release is None and patterns.matches(patterns.VERSION, target):
        target, release = None, target
    if release is not None:
        if not patterns.matches(patterns.VERSION, release):
            raise click.BadParameter(
                "accepted: a release of OpenClaw, such as 2026.9.6", param_hint="RELEASE"
            )
        assignments = (*assignments, f"gateway.version={release}")
    changing.run("upgrade", target, assignments, deploy=DEPLOY, prepare=upgrading.choose, **options)
