"""`./claw verify`: the proof that what is deployed is what it should be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.table import Table

from commandline import asking
from commandline.options import examples, json_option, target_options
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
@target_options
@click.option(
    "--smoke",
    is_flag=True,
    help="Instead: OpenClaw's smoke tests on the deployed image, in a container of their own.",
)
@json_option
def verify(target: str | None, smoke: bool, as_json: bool, **options: Any) -> None:
    """Prove what is deployed: the gateway, and an agent's turn.

    The gateway from outside and inside, OpenClaw's own judges, and a real turn in a sandbox.
    Changes nothing: the turn is taken in a second gateway that is thrown away (half a minute, and
    about 1.5 GB of memory). Exit code 0 if nothing failed, else 1.
    """
    asking.run(
        target,
        options,
        smoke_test.look if smoke else verified,
        "Verifying",
        show=asking.each(lambda name, checks: tables.screen(200).print(table(name, checks))),
        failed=_failed,
        as_json=as_json,
        document=lambda checks: {
            "ok": not _failed(checks),
            "checks": [asdict(check) for check in checks],
        },
    )


def verified(host: Host) -> list[Check]:
    """Return everything that can be seen of a host's deployment; takes a minute with sandboxes."""
    with ctx_host.use(host):
        settings = settings_for(host)
        return verification.look(settings, ask=True, judges=True, prove=True)


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


def _failed(checks: list[Check]) -> bool:
    return any(check.outcome == "failed" for check in checks)
