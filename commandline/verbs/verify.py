"""`./claw verify`: the proof that what is deployed is what it should be."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.table import Table

from commandline import asking, targets
from commandline.asking import VerbError
from commandline.options import examples, json_option, target_options
from commandline.screen import tables
from operations import smoke as smoke_test
from operations import verification
from operations.base import connection, snapshot
from operations.base.check import Check
from operations.hardening import firewall
from toolkit import outside
from toolkit.settings import settings_for
from toolkit.settings.sources import machines
from toolkit.terminal import said

STREAM = socket.SOCK_STREAM
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
@target_options
@click.option(
    "--smoke",
    is_flag=True,
    help="Instead: OpenClaw's smoke tests on the deployed image, in a container of their own.",
)
@json_option
def verify(target: str | None, smoke: bool, as_json: bool, from_here: bool, **options: Any) -> None:
    """Prove what is deployed: the gateway, and an agent's turn.

    The gateway from outside and inside, OpenClaw's own judges, and a real turn in a sandbox.
    Changes nothing: the turn is taken in a second gateway that is thrown away (half a minute, and
    about 1.5 GB of memory). Exit code 0 if nothing failed, else 1.
    """
    asking.run(
        target,
        options,
        from_outside if from_here else smoke_test.look if smoke else verified,
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


def from_outside(host: Host) -> list[Check]:
    """Return what answers on a host's addresses; the host itself is only asked for them.

    Tried are those by which this machine reaches it, and further public ones that it says it has
    and where its own SSH key answers.
    """
    if targets.is_local(host):
        raise VerbError("this machine cannot look at itself from outside; run it from another one")
    settings, there = settings_for(host), machines.resolved(host)
    domain = settings.exposure.https.domain
    known = [str(one[4][0]) for one in socket.getaddrinfo(there.hostname, there.port, type=STREAM)]
    known = list(dict.fromkeys([*known, *settings.exposure.https.addresses]))
    said = outside.public(snapshot.run_quietly(host, "hostname -I").split())
    way = connection.transport(host)
    key = way.get_remote_server_key() if way else None
    public = [one.partition("/")[::2] for one in firewall.allowed(settings)]
    wanted = {there.port, *(int(port) for port, protocol in public if protocol == "tcp")}
    port = settings.gateway.port
    ports = {*wanted, *outside.ATTACKED, port, settings.front_port or port}
    checks = []
    for address in [*known, *(one for one in said if one not in known)]:
        if address in known or (key and outside.same_host(address, there.port, key)):
            checks.append(judged(outside.look(address, ports, domain), wanted, len(ports)))
        else:
            why = "not tried: the host says it has it, and its SSH server does not answer there"
            checks.append(Check(f"outside {address}", "unknown", why))
    return checks


def judged(seen: outside.Seen, wanted: set[int], tried: int) -> Check:
    """Return what an address that was looked at means; nothing is said of what hides everything."""
    name = f"outside {seen.address}"
    if not seen.way:
        return Check(name, "unknown", "not tried: this machine has no way there")
    if not seen.ports:
        why = "nothing answers, not even its SSH server: something stands between"
        return Check(name, "unknown", why)
    ports = ", ".join(
        f"{port} (WebSocket)" if port in seen.websockets else str(port) for port in seen.ports
    )
    more = [str(port) for port in seen.ports if port not in wanted]
    if more:
        return Check(name, "failed", f"open: {ports}; not wanted: {', '.join(more)}")
    return Check(name, "ok", f"open, as wanted: {ports}; of {tried} ports")


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
