"""`./claw token`: the gateway's token."""

from __future__ import annotations

import shlex
from typing import Any

import click
from pyinfra.api.host import Host

from commandline import asking
from commandline.asking import Answers, VerbError
from commandline.options import examples, target_options
from operations.base import snapshot
from operations.gateway import front, host_secrets
from toolkit import dotenv
from toolkit.settings import settings_for


@click.command(epilog=examples("./claw token root@203.0.113.7"))
@target_options
def token(target: str | None, **options: Any) -> None:
    """Print the gateway's token.

    With several hosts: HOST, a tab, TOKEN.
    """
    asking.run(target, options, token_of, "Reading the token", show=_show)


def token_of(host: Host) -> str:
    """Return the gateway's token; raises `VerbError` if the host has none."""
    settings = settings_for(host)
    path = host_secrets.environment_path(settings)
    text = snapshot.read_quietly(host, f"cat {shlex.quote(path)} 2>/dev/null || true")
    value = dotenv.values(text).get(front.TOKEN)
    if not value:
        raise VerbError(f"there is no {front.TOKEN} in {path}; ./claw up makes it")
    return value


def _show(answers: Answers) -> None:
    for name, answer in answers.items():
        if answer.value:
            print(f"{name}\t{answer.value}" if len(answers) > 1 else answer.value)
    asking.print_errors(answers)
