"""`./claw cli`: OpenClaw's own command line, beside the gateway."""

from __future__ import annotations

import shlex
from typing import Any

import click

from commandline import streaming, typed_secrets
from commandline.options import examples, fail, has_terminal, target_options
from commandline.screen.given import Given
from operations.gateway import form
from toolkit.settings import Settings


@click.command(
    "cli",
    epilog=examples(
        "./claw cli -- devices list",
        "./claw cli root@203.0.113.7 -- channels add --channel telegram --use-env",
    ),
)
@target_options
def openclaw_cli(target: str | None, **options: Any) -> None:
    """Run OpenClaw's own CLI: ./claw cli [TARGET] -- ARGS.

    An argument that gives a secret is refused: everybody who sees processes would read it.
    """
    given = Given.of(target, options)
    arguments = after_dashes(given)
    if not arguments:
        example = given.command("cli", "-- devices list")
        raise click.UsageError(f"say what to run after --, for example: {example}")
    terminal = has_terminal()
    streaming.run(
        target,
        options,
        lambda settings, up: cli_command(settings, arguments, terminal, up),
        f"openclaw {shlex.join(arguments)}",
        terminal=terminal,
    )


def cli_command(settings: Settings, arguments: tuple[str, ...], terminal: bool, up: str) -> str:
    """Return the shell line that runs OpenClaw's CLI beside the gateway."""
    return form.of(settings).cli(settings, arguments, terminal, missing(settings, up))


def missing(settings: Settings, up: str) -> str:
    """Return what is said where nothing is deployed; `up` makes it."""
    return f"no deployment in {settings.project_directory}; {up} makes it"


def after_dashes(given: Given) -> tuple[str, ...]:
    """Return what stands behind `--`; leaves if a secret is among it."""
    arguments: tuple[str, ...] = click.get_current_context().obj or ()
    if typed := typed_secrets.found(arguments):
        fail(f"{typed}: {given.completed(typed_secrets.ADVICE)}")
    return arguments
