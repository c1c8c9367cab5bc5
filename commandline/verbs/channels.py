"""`./claw channels`: where people write to the agents from, and whether that works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from commandline import approving, asking, streaming
from commandline.options import examples, fail, has_terminal, json_option, target_options
from commandline.screen.tables import Cell
from commandline.verbs.cli import cli_command
from operations import channels as asked
from operations.channels import Account
from toolkit import patterns
from toolkit.settings.channels import ACCOUNT, CHANNEL
from toolkit.terminal import said

LOGIN = "login"
ACTIONS = (approving.LIST, LOGIN)


@click.command(
    epilog=examples(
        "./claw channels",
        "./claw channels inventories/fleet.yml --json",
        "./claw channels login whatsapp root@203.0.113.7",
    )
)
@click.argument("action", required=False, metavar="[list|login CHANNEL]")
@click.argument("channel", required=False, metavar="")
@target_options
@click.option("--account", metavar="NAME", help="Which account `login` is for: `default`.")
@json_option
def channels(
    action: str | None,
    channel: str | None,
    target: str | None,
    account: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List the channels, and whether they reach their services.

    `login` links a channel that wants that (WhatsApp: the QR code appears in the terminal), and
    needs a terminal. Exit code 1 if a host gave no answer, or an account that is switched on does
    not reach its service.
    """
    if action != LOGIN:
        if target is not None:
            raise click.UsageError(f"{target!r} is one word too many for a list")
        # Without `login` there is no word for a channel before the target.
        _, target = approving.action_and_target(action, channel, ACTIONS)
        if account:
            raise click.UsageError("--account is for login")
        asking.run(
            target,
            options,
            asked.status,
            "Asking for the channels",
            show=_show,
            failed=lambda found: any(failed(one) for one in found),
            as_json=as_json,
            document=lambda found: {"channels": [asdict(one) for one in found]},
        )
    else:
        _login(target, options, channel, account)


def _login(
    target: str | None, options: dict[str, Any], channel: str | None, account: str | None
) -> None:
    if channel is None:
        raise click.UsageError("login wants a channel, such as `login whatsapp`")
    for value, form, what in ((channel, CHANNEL, "a channel"), (account, ACCOUNT, "an account")):
        if value is not None and not patterns.matches(form, value):
            fail(f"{value!r} is no name of {what}")
    if not has_terminal():
        raise click.UsageError("login needs a terminal, in which it shows what is to be scanned")
    words = (
        "channels",
        "login",
        "--channel",
        channel,
        *(["--account", account] if account else []),
    )
    streaming.run(
        target,
        options,
        lambda settings, up: cli_command(settings, words, True, up),
        f"openclaw channels login --channel {channel}",
        terminal=True,
    )


def failed(one: Account) -> bool:
    """Return whether an account that is switched on does not reach its service."""
    return one.enabled and (bool(one.error) or (one.configured and not one.running))


def _show(answers: asking.Answers) -> None:
    columns = ("Channel", "Account", "State", "")
    asking.print_table(answers, columns, _rows, "no channel is set up")
    asking.print_errors(answers)


def _rows(found: tuple[Account, ...]) -> Iterator[tuple[Cell, ...]]:
    for one in found:
        account = f"{one.account} ({one.name})" if one.name else one.account
        style = "red" if failed(one) else ""
        yield said(one.channel), said(account), said(state(one), style), said(one.error)


def state(one: Account) -> str:
    """Return the state of an account in a word or two."""
    if not one.enabled:
        return "off"
    if not one.configured:
        return "not set up"
    if not one.running:
        return "stopped"
    return {True: "connected", False: "not connected", None: "running"}[one.connected]
