"""`./claw onboard`: OpenClaw's own set-up wizard."""

from __future__ import annotations

from typing import Any

import click

from commandline import deployment, streaming
from commandline.options import examples, has_terminal, target_options
from commandline.screen.given import Given
from commandline.verbs.cli import after_dashes, cli_command
from operations import engine_access, project
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
    if engine_access.on_host(settings):
        return cli_command(settings, words, terminal=True, up=up)
    beside = deployment.compose(settings, up, *deployment.ONCE, "openclaw-cli", *words)
    alone = deployment.compose(
        settings, up, *deployment.ONCE, "--entrypoint", "openclaw", project.GATEWAY, *words
    )
    project_lines = deployment.in_project(settings, up)
    running = f"{project_lines}\ndocker compose ps -q --status running {project.GATEWAY}"
    return f'if [ -n "$({running})" ]; then\n{beside}\nelse\n{alone}\nfi'
