"""`./claw models login`: a model provider that wants a log-in, on a host without a browser."""

from __future__ import annotations

from typing import Any

import click

from commandline import streaming
from commandline.options import examples, fail, has_terminal, target_options
from commandline.verbs.cli import cli_command
from toolkit import patterns

PROVIDER = r"[a-z][a-z0-9-]{0,63}"


@click.command(
    epilog=examples(
        "./claw models login openai root@203.0.113.7 --device-code",
        "./claw models login github-copilot root@203.0.113.7",
    )
)
@click.argument("action", type=click.Choice(["login"]), metavar="login")
@click.argument("provider")
@target_options
@click.option("--device-code", is_flag=True, help="A code to be typed in a browser anywhere.")
@click.option("--method", metavar="METHOD", help="One of the provider's, where it has several.")
def models(
    action: str,
    provider: str,
    target: str | None,
    device_code: bool,
    method: str | None,
    **options: Any,
) -> None:
    """Log in to a model provider, by a browser elsewhere.

    Needs a terminal. OpenClaw prints an address to open in a browser anywhere; the address to
    which that leads afterwards, which is on 127.0.0.1 and shows nothing, is pasted back. With
    --device-code the browser asks for a code instead.
    """
    for what, value in (("provider", provider), ("method", method)):
        if value is not None and not patterns.matches(PROVIDER, value):
            fail(f"{value!r} is no name of a {what}, such as openai or github-copilot")
    if not has_terminal():
        raise click.UsageError("login needs a terminal; keys by reference: `credentials`")
    more = ["--device-code"] if device_code else []
    more += ["--method", method] if method else []
    words = ("models", "auth", action, "--provider", provider, *more)
    streaming.run(
        target,
        options,
        lambda settings, up: cli_command(settings, words, True, up),
        f"openclaw models auth {action} --provider {provider}",
        terminal=True,
    )
