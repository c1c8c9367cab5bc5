"""The verbs on hosts that are deployed: what is printed and with which exit code."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Callable
from typing import Any

import click
import gevent
import yaml
from pyinfra.api.host import Host

from commandline import typed_secrets
from commandline.errors import explain
from commandline.options import (
    ERRORS,
    MANY,
    examples,
    fail,
    has_terminal,
    leave,
    overrides,
    target_options,
)
from commandline.results import FAILED, INTERRUPTED
from commandline.run.session import Options, Session
from commandline.screen.display import Display
from commandline.screen.given import Given
from commandline.screen.live_display import LiveDisplay
from commandline.screen.status_table import status_table
from commandline.verbs import commands, streaming
from toolkit.settings import settings_for
from toolkit.settings.sources.resolve import resolved, sources_in_use
from toolkit.terminal import Screen

SILENT_SECONDS = 2.0
"""A verb that takes longer says what it waits for."""


@click.command(epilog=examples("./claw status", "./claw status inventories/fleet.yml --json"))
@target_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def status(target: str | None, as_json: bool, **options: Any) -> None:
    """Show what runs: versions, container, image, ports, readiness.

    Exit code 0 if the gateway of every host is ready, else 1.
    """
    answers = ask(target, commands.status, "Looking at what runs", **options)
    if as_json:
        hosts = {name: answer.value or {"error": answer.error} for name, answer in answers.items()}
        sys.stdout.write(json.dumps({"hosts": hosts}, indent=2) + "\n")
    else:
        wide = None if sys.stdout.isatty() else 240  # nothing to fold for
        Screen(width=wide).print(status_table(answers))
    leave(FAILED if any(not (one.value or {}).get("ready") for one in answers.values()) else 0)


@click.command(epilog=examples("./claw token root@203.0.113.7"))
@target_options
def token(target: str | None, **options: Any) -> None:
    """Print the gateway's token.

    With several hosts: HOST, a tab, TOKEN.
    """
    answers = ask(target, commands.token, "Reading the token", **options)
    for name, answer in answers.items():
        if answer.value:
            print(f"{name}\t{answer.value}" if len(answers) > 1 else answer.value)
    streaming.report_errors(answers)


@click.command(
    epilog=examples("./claw logs -f", "./claw logs inventories/fleet.yml --limit claw1 --tail 20")
)
@target_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes (Ctrl-C ends it).")
@click.option(
    "--tail",
    type=click.IntRange(min=0, max=MANY),
    default=100,
    metavar="LINES",
    help="How much of the past (default 100).",
)
def logs(target: str | None, follow: bool, tail: int, **options: Any) -> None:
    """Print the gateway's log."""

    given = Given.of(target, options)

    def command(host: Host) -> str:
        return commands.log_command(settings_for(host), follow, tail, _made_by(given, host))

    streaming.run(opened(target, **options), command, "Reading the gateway's log", hang_up=follow)


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
    arguments = _after_dashes(given)
    if not arguments:
        example = given.command("cli", "-- devices list")
        raise click.UsageError(f"say what to run after --, for example: {example}")
    terminal = has_terminal()

    def command(host: Host) -> str:
        return commands.cli_command(settings_for(host), arguments, terminal, _made_by(given, host))

    streaming.run(opened(target, **options), command, f"openclaw {shlex.join(arguments)}", terminal)


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
    arguments = _after_dashes(given)

    def command(host: Host) -> str:
        return commands.onboard_command(settings_for(host), arguments, _made_by(given, host))

    streaming.run(opened(target, **options), command, "openclaw onboard", terminal=True)


@click.command(epilog=examples("./claw settings inventories/fleet.yml --limit claw1"))
@target_options
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of YAML.")
def settings(target: str | None, as_json: bool, **options: Any) -> None:
    """Print all settings of every host.

    As they are after all sources; secrets are hidden.
    """
    session = opened(target, **options)
    document = {host.name: resolved(settings_for(host)) for host in session.hosts}
    sources = sources_in_use(session.hosts[0])
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    if sources:
        ERRORS.print(f"From the environment: {', '.join(sources)}")
    leave(0)


def opened(
    target: str | None,
    assignments: tuple[str, ...],
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    verbose: int,
    moving: bool = False,
) -> Session:
    """Return a session with the target's hosts and their settings; leaves if they are wrong.

    `moving`: a terminal shows what is waited for in lines that move.
    """
    kind = LiveDisplay if moving and ERRORS.is_terminal and verbose == 0 else Display
    display = kind(ERRORS, verbose, SILENT_SECONDS)
    options = Options(
        target,
        overrides(assignments),
        limit,
        exclude,
        verbose,
        interactive=has_terminal(),
        given=Given(target, assignments, limit, exclude),
    )
    session = Session(options, display)
    gevent.signal_handler(signal.SIGINT, _interrupted, display)
    try:
        session.open()
    except Exception as error:
        fail(explain(error))
    return session


def ask(
    target: str | None, question: Callable[[Host], Any], what: str, **options: Any
) -> dict[str, commands.Answer]:
    """Return every host's answer to a question; nothing goes to standard output.

    `what` is shown on standard error when it takes more than two seconds, with the hosts.
    """
    with contextlib.redirect_stdout(sys.stderr):
        return commands.ask(opened(target, **options, moving=True), question, what)


def _interrupted(display: Display) -> None:
    display.__exit__()
    leave(INTERRUPTED)


def report(
    answers: dict[str, commands.Answer],
    as_json: bool,
    document: Callable[[Any], dict[str, Any]],
    show: Callable[[str, Any], None],
) -> None:
    """Print what each host answered, as one JSON document or by `show(name, value)`; errors too."""
    if as_json:
        hosts = {
            name: {"error": answer.error} if answer.error else document(answer.value)
            for name, answer in answers.items()
        }
        sys.stdout.write(json.dumps({"hosts": hosts}, indent=2) + "\n")
        return
    for name, answer in answers.items():
        if answer.error:
            ERRORS.print(f"{name}: {answer.error}", style="red")
        else:
            show(name, answer.value)


def _after_dashes(given: Given) -> tuple[str, ...]:
    arguments: tuple[str, ...] = click.get_current_context().obj or ()
    if typed := typed_secrets.found(arguments):
        fail(f"{typed}: {given.completed(typed_secrets.ADVICE)}")
    return arguments


def _made_by(given: Given, host: Host) -> str:
    """Return the command that makes a deployment on a host that has none."""
    return given.for_host("up", host.name)


ALL = (status, token, logs, openclaw_cli, onboard, settings)
