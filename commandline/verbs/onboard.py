"""`./claw onboard`: OpenClaw's own set-up wizard."""

from __future__ import annotations

from typing import Any

import click

from commandline import streaming
from commandline.options import examples, has_terminal, target_options
from commandline.screen.given import Given
from commandline.verbs.cli import after_dashes, missing
from operations.gateway import form
from toolkit.settings import Settings


@click.command(epilog=examples("./claw onboard root@203.0.113.7"))
@target_options
def onboard(target: str | None, **options: Any) -> None:
    """Run OpenClaw's set-up wizard on one host.

    Needs a terminal. What stands behind -- goes to the wizard.
    """
    given = Given.of(target, options)
    if not has_terminal():
        up = given.command("up")
        raise click.UsageError(f"the wizard needs a terminal; {up} sets up without questions")
    arguments = after_dashes(given)
    streaming.run(
        target,
        options,
        lambda settings, up: onboard_command(settings, arguments, up),
        "openclaw onboard",
        terminal=True,
    )


def onboard_command(settings: Settings, arguments: tuple[str, ...], up: str) -> str:
    """Return the shell line that runs OpenClaw's wizard; without a gateway too.

    `--no-install-daemon`: it is Docker, or a unit of ours, that keeps the gateway running.
    """
    words = ("onboard", "--no-install-daemon", *arguments)
    return form.of(settings).onboard(settings, words, missing(settings, up))
