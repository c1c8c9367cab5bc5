"""`./claw verify`: the proof that what is deployed is what it should be."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.table import Table

from commandline import asking, targets
from commandline.asking import VerbError
from commandline.options import examples, json_option, target_options
from commandline.run import outside
from commandline.screen import tables
from operations import smoke as smoke_test
from operations import verification
from operations.base.check import Check
from toolkit.settings import settings_for
from toolkit.terminal import said

_STYLES = {"ok": "green", "failed": "bold red", "unknown": "yellow"}


@click.command(
    epilog=examples("./claw verify root@203.0.113.7", "./claw verify root@203.0.113.7 --smoke")
)
@click.option(
    "--outside",
    "from_here",
    is_flag=True,
    help="Instead: what answers on the host's public addresses, as this machine sees it.",
)
@click.option(
    "--from",
    "by",
    metavar="HOST",
    help="With --outside: as another host of the inventory sees them.",
)
@target_options
@click.option(
    "--smoke",
    is_flag=True,
    help="Instead: OpenClaw's smoke tests on the deployed image, in a container of their own.",
)
@json_option
def verify(
    target: str | None,
    smoke: bool,
    as_json: bool,
    from_here: bool,
    by: str | None,
    **options: Any,
) -> None:
    """Prove what is deployed: the gateway, and an agent's turn.

    The gateway from outside and inside, OpenClaw's own judges, and a real turn in a sandbox.
    Changes nothing: the turn is taken in a second gateway that is thrown away (half a minute, and
    about 1.5 GB of memory). Exit code 0 if nothing failed, else 1.
    """
    if by is not None and not from_here:
        raise click.UsageError("--from is for --outside")
    if by and options["limit"]:
        options["limit"] = (*options["limit"], by)
    asking.run(
        target,
        options,
        partial(from_outside, by=by) if from_here else smoke_test.look if smoke else verified,
        "Verifying",
        show=asking.each(_show),
        failed=_failed,
        as_json=as_json,
        document=lambda checks: {
            "ok": not _failed(checks),
            "checks": [asdict(check) for check in checks or []],
        },
    )


def verified(host: Host) -> list[Check]:
    """Return everything that can be seen of a host's deployment; takes a minute with sandboxes."""
    with ctx_host.use(host):
        settings = settings_for(host)
        return verification.look(settings, ask=True, judges=True, prove=True)


def from_outside(host: Host, by: str | None = None) -> list[Check] | None:
    """Return what answers on a host's addresses, to this machine or to another host; None of that
    one itself.

    Raises:
        VerbError: nobody else can look.
    """
    if by is None:
        if targets.is_local(host):
            raise VerbError(outside.ITSELF)
        return outside.checked(host)
    names = [one.name for one in host.state.inventory]
    if by not in names:
        raise VerbError(f"--from {by}: no such host; accepted: {', '.join(names)}")
    looking = {one.name: one for one in host.state.activated_hosts}
    if host.name == by:
        if len(looking) == 1:
            raise VerbError(f"--from {by}: there is no other host for it to look at")
        return None
    if by not in looking:
        raise VerbError(f"--from {by}: it is not connected")
    return outside.checked(host, looking[by])


def table(host: str, checks: list[Check]) -> Table:
    """Return the checks of a host line by line, each as configured and as found."""
    result = tables.plain("Check", "", "Configured", "Found", host=host)
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            result.add_row(said(group, "bold"))
        found = check.found or check.detail
        if check.outcome != "ok" and check.found and not check.configured:
            found = f"{check.found} {check.detail}".strip()
        name = f"  {check.name}" if check.group else check.name
        outcome = said(check.outcome, _STYLES[check.outcome])
        result.add_row(said(name), outcome, said(check.configured), said(found))
    return result


def _show(host: str, checks: list[Check] | None) -> None:
    if checks is not None:
        tables.screen(200).print(table(host, checks))


def _failed(checks: list[Check] | None) -> bool:
    return any(check.outcome == "failed" for check in checks or [])
