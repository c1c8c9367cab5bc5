"""`./claw devices`: browsers and phones that ask to be let in, and those that are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from commandline import approving, asking
from commandline.options import examples, fail, json_option, target_options
from commandline.screen.tables import Cell
from operations import devices as asked
from operations.devices import Device, Devices
from operations.lifecycle.status import age
from toolkit import patterns
from toolkit.terminal import said

ACTIONS = (approving.LIST, "approve", "revoke")


@click.command(
    epilog=examples(
        "./claw devices",
        "./claw devices approve root@203.0.113.7",
        "./claw devices approve inventories/fleet.yml --id 0c640de6",
        "./claw devices revoke --id 448f04ff",
    )
)
@click.argument("action", required=False, metavar="[list|approve|revoke]")
@target_options
@click.option("--id", "identifier", metavar="ID", help="Which one, or how its id begins.")
@json_option
def devices(
    action: str | None,
    target: str | None,
    identifier: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List the devices that ask to be let in; let one in, or out.

    Who opens the Control UI from elsewhere is told `1008: pairing required` until it is approved.
    `approve` lets in the only one that asks on any host of the target, or the one with --id;
    `revoke` takes a device's tokens and its pairing, so that it must ask again. Exit code 1 if a
    host gave no answer, or it is not clear which one is meant.
    """
    action, target = approving.action_and_target(action, target, ACTIONS)
    if identifier is not None and not patterns.matches(asked.ID, identifier):
        fail(f"--id {identifier!r} is not how an id begins; ./claw devices shows them")
    letting_in = action == "approve"
    if action == approving.LIST:
        if identifier is not None:
            raise click.UsageError("--id is for approve and revoke")
        asking.run(
            target,
            options,
            asked.devices,
            "Asking for the devices",
            show=_show,
            as_json=as_json,
            document=asdict,
        )
    elif action == "revoke" and identifier is None:
        raise click.UsageError("revoke wants --id ID; ./claw devices shows the ids")
    else:
        approving.run(
            target,
            options,
            asked.devices,
            "Asking for the devices",
            some=lambda found: (
                [(one.request, one) for one in found.pending]
                if letting_in
                else [(one.id, one) for one in found.paired]
            ),
            wanted=identifier,
            act=asked.approve if letting_in else asked.revoke,
            words=(
                ("Letting it in", "approved", "devices that ask")
                if letting_in
                else ("Taking its pairing", "revoked", "devices")
            ),
            line=described,
            show=_show,
            as_json=as_json,
        )


def described(one: Device) -> str:
    """Return a device as one line: its name, where it came from, what it may."""
    when = f", {age(one.age_seconds)} ago" if one.age_seconds is not None else ""
    rights = ", ".join([*one.roles, *one.scopes])
    return f"{one.name or 'a device'} ({one.platform or '?'}) from {_from(one)}{when}: {rights}"


def _show(answers: asking.Answers) -> None:
    columns = ("Device", "From", "Since", "May", "Id")
    asking.print_table(answers, columns, _rows, "no device asks, and none is let in")
    asking.print_errors(answers)


def _rows(found: Devices) -> Iterator[tuple[Cell, ...]]:
    for one in (*found.pending, *found.paired):
        asks = bool(one.request)
        since = age(one.age_seconds) if one.age_seconds is not None else ""
        yield (
            said(" ".join(filter(None, [one.name, one.platform and f"({one.platform})"]))),
            said(_from(one)),
            said(f"asks, {since}" if asks else since, "yellow" if asks else ""),
            said(", ".join(dict.fromkeys((*one.roles, *map(_short, one.scopes))))),
            said((one.request or one.id)[:12]),
        )


def _from(one: Device) -> str:
    return one.address or "the host"


def _short(scope: str) -> str:
    return scope.removeprefix("operator.")
