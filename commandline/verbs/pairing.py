"""`./claw pairing`: who wrote to a channel and waits to be let in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from commandline import approving, asking
from commandline.options import examples, fail, json_option, target_options
from commandline.screen import tables
from commandline.screen.tables import Cell
from operations import devices as asked
from operations.devices import Sender, Senders
from operations.gateway import host_secrets
from operations.lifecycle.status import age
from toolkit import patterns
from toolkit.settings import settings_for
from toolkit.terminal import said

ACTIONS = (approving.LIST, "approve")


@click.command(
    epilog=examples("./claw pairing", "./claw pairing approve root@203.0.113.7 --id ABCD2345")
)
@click.argument("action", required=False, metavar="[list|approve]")
@target_options
@click.option("--id", "code", metavar="CODE", help="Which one: the code that he was told.")
@json_option
def pairing(
    action: str | None, target: str | None, code: str | None, as_json: bool, **options: Any
) -> None:
    """List who wrote to a channel and waits; let one in.

    `approve` lets in the only one who waits on any host of the target, or the one with the code,
    and tells him. OpenClaw makes the first one who is let in its owner. Exit code 1 if a host gave
    no answer, or it is not clear who is meant.
    """
    action, target = approving.action_and_target(action, target, ACTIONS)
    if code is not None and not patterns.matches(asked.ID, code):
        fail(f"--id {code!r} is no code; ./claw pairing shows them")
    if action == approving.LIST:
        if code is not None:
            raise click.UsageError("--id is for approve")
        asking.run(
            target,
            options,
            waiting_on,
            "Asking who waits to be let in",
            show=_show,
            as_json=as_json,
            document=asdict,
        )
    else:
        approving.run(
            target,
            options,
            waiting_on,
            "Asking who waits to be let in",
            some=lambda found: [(one.code, one) for one in found.pending],
            wanted=code,
            act=asked.approve_sender,
            words=("Letting him in", "approved", "senders who wait"),
            line=described,
            show=_show,
            as_json=as_json,
        )


def waiting_on(host: Host) -> Senders:
    """Return who waits on a host, by the channels that its openclaw.json switches on."""
    with ctx_host.use(host):
        configuration = host_secrets.read(settings_for(host)).configuration()
    return asked.senders(host, asked.channels_of(configuration))


def described(one: Sender) -> str:
    """Return a sender as one line."""
    when = f", {age(one.age_seconds)} ago" if one.age_seconds is not None else ""
    return f"{one.sender} {one.name}".strip() + f" by {one.channel} {one.account}".rstrip() + when


def _show(answers: asking.Answers) -> None:
    columns = ("Channel", "Account", "Sender", "Says he is", "Waits for", "Code")
    asking.print_table(answers, columns, _rows, "nobody waits")
    for name, answer in answers.items():
        for channel in answer.value.unlisted if answer.value else ():
            line = f"{name}: OpenClaw has no list for the channel {channel}"
            tables.screen(200).print(said(line, "yellow"))
    asking.print_errors(answers)


def _rows(found: Senders) -> Iterator[tuple[Cell, ...]]:
    for one in found.pending:
        since = age(one.age_seconds) if one.age_seconds is not None else ""
        yield tuple(map(said, (one.channel, one.account, one.sender, one.name, since, one.code)))
