"""Who reaches the host: closed over IPv4 and IPv6, but for SSH and what is published on purpose.

One table of nftables for the host, beside the one of each deployment (`operations/gateway/network`)
and kept as these are. An engine translates what it publishes before a host's own rules see it, so
that ufw's and firewalld's do not close it (https://docs.docker.com/engine/network/packet-filtering-
firewalls/): the table goes by where a connection was meant to go. An active ufw or firewalld stays
in charge of the host's own ports, and is told by its own command what is open.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages, tailnet
from operations.base import files, notes, preflight, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.hardening import trial
from operations.nftables import RULES, Table
from operations.tailnet import Tailnet
from toolkit import patterns
from toolkit.settings import Settings

TABLE = Table(
    name="openclaw_host",
    rules=f"{RULES}/host/firewall.nft",
    unit="openclaw-firewall",
    about="Who reaches this host",
    kept="Keep the rules of who reaches this host",
    early=True,
)
RECORD = f"{RULES}/host/allowed"
"""What the toolkit has allowed in the host's own firewall: `ufw 443/tcp`."""
OPEN = {
    ("ufw", "rules"): ("lets in what no rule names", "run ufw default deny incoming"),
    ("ufw", "ipv6"): ("does nothing for IPv6", "set IPV6=yes in /etc/default/ufw, run ufw reload"),
    ("firewalld", "rules"): (
        "lets in what no rule names",
        "run firewall-cmd --set-default-zone=public",
    ),
}
"""Why the host's own firewall closes nothing, and what mends it."""
CLOSED_SSH = "    # SSH comes in over the tailnet alone."
_PORT = re.compile(r"[0-9]{1,5}/(tcp|udp)")


@snapshot.fact("firewall")
@dataclass(frozen=True)
class Firewall:
    """What a host says: whether the table is there and what the rules made, whose it is, the port
    that this session came in by, and how its own firewall is.

    `has`: what is allowed there of what is to be; `ours`: what the toolkit allowed there;
    `ssh_closed`: the rules let SSH in over the tailnet alone; `listening`: ports that others may
    connect to, for what will be closed.
    """

    there: bool = False
    closed: bool = False
    kept: bool = False
    systemd: bool = False
    owner: str = ""
    ssh: tuple[int, ...] = ()
    ssh_closed: bool = False
    uplinks: tuple[str, ...] = ()
    manager: str = ""
    open: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    listening: tuple[int, ...] = ()

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "hardening/firewall_probe.sh.j2",
            apply=TABLE,
            record=RECORD,
            closed_ssh=CLOSED_SSH,
            wanted=settings.host.firewall.enabled,
            allowed=settings.public_ports,
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Firewall:
        said: dict[str, list[str]] = {}
        for line in lines:
            word, _, rest = line.partition(" ")
            said.setdefault(word, []).append(rest)
        managers = [one for one in said.get("manager", []) if one in ("ufw", "firewalld")]
        managers.append("")
        ours = [one.partition(" ")[2] for one in said.get("ours", [])]
        return cls(
            there="there" in said,
            closed="closed" in said,
            kept="kept" in said,
            systemd="systemd" in said,
            owner=(said.get("owner") or [""])[0],
            ssh=_ports(said.get("ssh", [])),
            ssh_closed="ssh-closed" in said,
            uplinks=tuple(
                one for one in said.get("uplink", []) if patterns.matches(patterns.INTERFACE, one)
            ),
            manager=managers[0],
            open=tuple(one for one in said.get("open", []) if (managers[0], one) in OPEN),
            has=tuple(one for one in said.get("has", []) if _PORT.fullmatch(one)),
            ours=tuple(one for one in ours if _PORT.fullmatch(one)),
            listening=_ports(said.get("listens", [])),
        )


def rules(settings: Settings) -> files.File:
    """Return the rules, as nftables reads them."""
    there = snapshot.of(Firewall)
    content = templates.render(
        "hardening/firewall.nft.j2",
        deployment=settings.name,
        table=TABLE.name,
        uplinks=there.uplinks,
        input=not there.manager,
        ssh=there.ssh,
        ssh_closed=over_tailnet_alone(settings),
        interface=tailnet.INTERFACE,
        tailnet=[*there.ssh, 443] if settings.exposure.tailscale.name else [],
        allowed=[one.split("/") for one in settings.public_ports],
        proxies=settings.exposure.proxy.proxies,
        port=settings.gateway.port,
    )
    return files.File(TABLE.rules, content)


def over_tailnet_alone(settings: Settings) -> bool:
    """Return whether SSH is to be let in over the tailnet alone: this run has proved that it does
    come in so, or an earlier one has."""
    there = snapshot.of(Firewall)
    proved = snapshot.of(Tailnet).over or there.ssh_closed
    return settings.exposure.tailscale.close_ssh and proved


@packages.required
def tools(settings: Settings) -> Iterable[str]:
    return ("nftables",) if settings.host.firewall.enabled else ()


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [TABLE.rules, *(file.path for file in TABLE.units)]


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    there = snapshot.of(Firewall)
    if not settings.host.firewall.enabled:
        return
    if there.owner and there.owner != settings.name:
        yield Problem(
            "host.firewall: the host's rules are those of another deployment on it"
            f" ({printable(there.owner)}), and one host has one",
            "name its ports there (host.firewall.allow), and set host.firewall.enabled to false"
            " here",
        )
    yield from _ssh_problems(settings)
    for one in there.open:
        what, fix = OPEN[there.manager, one]
        yield Problem(
            f"host.firewall: {there.manager} is active and {what}, so the host would not be closed",
            f"{fix}; or disable {there.manager}, and the toolkit's own rules close the host",
        )
    if not there.systemd:
        yield Problem(
            "host.firewall: without systemd nobody sets the rules at boot",
            "run ./claw up after each boot, or have your init run nft -f " + TABLE.rules,
            stops=False,
        )


def _ssh_problems(settings: Settings) -> Iterable[Problem]:
    there, tailscale = snapshot.of(Firewall), settings.exposure.tailscale
    if not tailscale.close_ssh:
        return
    if there.manager:
        yield Problem(
            f"exposure.tailscale.close_ssh: {there.manager} is active, and says who comes in by"
            " SSH",
            f"close it there, and set close_ssh to false; or disable {there.manager}, and the"
            " toolkit's own rules close the host",
        )
    elif not over_tailnet_alone(settings):
        yield Problem(
            "exposure.tailscale.close_ssh: SSH stays open to everybody, for this run has not come"
            " in over the tailnet",
            f"once the host is in it, run again with ssh_hostname {tailscale.name}",
            stops=False,
        )


@operation
def closed(settings: Settings) -> Generator:
    """Close the host, but for SSH and what is published on purpose; or open it again.

    + settings: the settings of the host

    What was there before comes back if no new connection gets in (`operations/hardening/trial`).
    """
    there = snapshot.of(Firewall)
    if not settings.host.firewall.enabled:
        if there.owner in ("", settings.name) and (there.there or files.found(TABLE.rules)):
            yield StringCommand("sh -s", _stdin=[gone()])
            notes.of(host).outcome.append("firewall: the toolkit's rules are gone")
        else:
            host.noop("host.firewall is off")
        return
    ports = settings.public_ports
    wanted = [rules(settings), *(TABLE.units if there.systemd else [])]
    changed = [file for file in wanted if files.differs(file)]
    stale = set(there.ours) - set(ports if there.manager else ())
    told = not there.manager or set(ports) <= set(there.has)
    if there.closed and not changed and (there.kept or not there.systemd) and told and not stale:
        host.noop("the host is closed")
        return
    for file in changed:
        files.show_difference(file)
    ssh = "SSH, over the tailnet" if over_tailnet_alone(settings) else "SSH"
    open_ports = ", ".join([*(f"{port}/tcp ({ssh})" for port in there.ssh), *ports]) or "nothing"
    if there.manager:
        open_ports = f"what {there.manager} lets in, and {', '.join(ports) or 'nothing else'}"
    reached = {int(one.partition("/")[0]) for one in ports} | set(there.ssh)
    shut = sorted(set(there.listening) - reached)
    if shut and not there.there:
        notes.of(host).plan.append(
            f"host.firewall closes ports that somebody listens on: {', '.join(map(str, shut))}"
            " (host.firewall.allow keeps one open)"
        )
    yield from trial.tried(
        "firewall",
        "host.firewall",
        apply=TABLE,
        rules=wanted[0],
        files=wanted,
        systemd=there.systemd,
        directory=f"{RULES}/host",
        record=RECORD,
        manager=there.manager,
        allowed=ports,
    )
    notes.of(host).outcome.append(f"firewall: closed but for {open_ports}")


def gone() -> str:
    """Return the script that takes the host's rules away."""
    return templates.render(
        "hardening/firewall_gone.sh.j2",
        apply=TABLE,
        record=RECORD,
        directory=RECORD.rpartition("/")[0],
        units=[file.path for file in TABLE.units],
    )


def _ports(said: Iterable[str]) -> tuple[int, ...]:
    found = {int(one) for one in said if re.fullmatch("[0-9]{1,5}", one)}
    return tuple(sorted(one for one in found if 0 < one < 65536))
