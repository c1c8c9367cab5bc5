"""Who reaches the deployment's containers, and what they reach: one table of nftables.

A port that is published on loopback is closed to strangers, but engines up to release 27 accept
packets for 127.0.0.1 from any interface, and packets that a neighbour routes to a container's own
address (https://docs.docker.com/engine/network/packet-filtering-firewalls/). And a container
reaches whatever the host does: its own services, the credentials that a cloud gives it. The table
is the deployment's own, so that neither the engine nor a firewall empties it; a timer brings it
back after `flush ruleset`, and it stands before the engine starts.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import engine_access, packages
from operations.base import files, preflight, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.base.quoting import Script
from operations.engine import uplink
from operations.engine_access import EngineWay
from operations.gateway import bridges, browser_network, form, front
from operations.nftables import RULES, Table
from toolkit import patterns
from toolkit.settings import Settings
from toolkit.settings.egress import METADATA, PRIVATE, parse_destination
from toolkit.settings.sandbox import names


@snapshot.fact("network")
@dataclass(frozen=True)
class Network:
    """What a host says: whether the table is what the rules made, and the interfaces of networks
    by name."""

    closed: bool = False
    kept: bool = False
    systemd: bool = False
    interfaces: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render("network/probe.sh.j2", apply=applied(settings))

    @classmethod
    def parse(cls, lines: list[str]) -> Network:
        said = [line.split() for line in lines]
        words = {line[0] for line in said if len(line) == 1}
        return cls(
            "closed" in words,
            "kept" in words,
            "systemd" in words,
            tuple(
                (line[1], line[2])
                for line in said
                if line[:1] == ["bridge"]
                and len(line) == 3
                and patterns.matches(patterns.INTERFACE, line[2])
            ),
        )


def table(settings: Settings) -> str:
    return f"openclaw-{settings.name}"


def rules(settings: Settings) -> files.File:
    """Return the rules, as nftables reads them; the networks of the user's are the snapshot's."""
    own_engine = EngineWay(settings).own_engine
    own, found = [], dict(snapshot.of(Network).interfaces)
    sandboxes, met_at = [], None
    if not own_engine:
        tools = bridges.tools_bridge(settings)
        own = [
            *filter(
                None,
                (
                    bridges.bridge(settings.name),
                    bridges.browsers_bridge(settings.name, settings.sandbox),
                    tools,
                ),
            )
        ]
        foreign = {name: one for name, one in found.items() if name in _asked(settings)}
        sandboxes = sorted({*own[1:], *foreign.values()})
        met_at = bridges.browsers_bridge(settings.name, settings.sandbox) or foreign.get(
            names.browser_network(settings.name, settings.sandbox)
        )
    address = ipaddress.ip_address(settings.gateway.address)
    egress, port = settings.egress, settings.gateway.port
    content = templates.render(
        "network/rules.nft.j2",
        table=table(settings),
        bridges=own,
        gateway=bridges.bridge(settings.name),
        sandboxes=sandboxes,
        inside=[own[0], *sandboxes] if own else [],
        browsers=met_at,
        users=_users(settings) if own_engine else [],
        service=form.of(settings).user(settings),
        loopback=f"{port}-{min(port + 111, 65535)}",  # OpenClaw's own
        port=port,
        address=None if address.is_unspecified else str(address),
        family="ip6" if address.version == 6 else "ip",
        other_family="ipv4" if address.version == 6 else "ipv6",
        allowed=[parse_destination(one) for one in egress.allowed],
        metadata=_families(METADATA) if egress.metadata == "deny" else [],
        private=_families(PRIVATE) if egress.private == "deny" else [],
        host=egress.host == "allow",
        front=settings.front_port,
        proxies=",".join(settings.exposure.proxy.proxies),
        caddy=front.ADDRESS,
    )
    return files.File(f"{RULES}/{settings.name}.nft", content)


def neighbour(settings: Settings) -> Script:
    """Return shell functions after `form.shell`'s: `neighbour_seen` says `ok`, `failed` or
    `unknown`, and what a neighbour reaches of gateway and browsers.
    """
    return templates.render(
        "network/neighbour.sh.j2",
        link=bridges.short("clawn", settings.name),
        lock=f"/run/{table(settings)}.neighbour",
        port=settings.gateway.port,
        address=settings.gateway.address,
        # Who is none of them is a neighbour there, too.
        proxies=[",".join(settings.exposure.proxy.proxies)],
        browsers=names.browser_prefix(settings.name),
        # A rootless engine's networks are its own: their addresses mean nothing on the host.
        direct=not EngineWay(settings).own_engine,
    )


def units(settings: Settings) -> list[files.File]:
    """Return the systemd units that set the rules at boot, and again when they are gone."""
    return applied(settings).units


@uplink.networks
def own_networks(settings: Settings) -> list[str]:
    """Return the networks that the deployment makes."""
    wanted = browser_network.network(settings.name, settings.sandbox)
    browsers = wanted.name if wanted and wanted.own else None
    tools = names.tools_network(settings.name) if bridges.tools_bridge(settings) else None
    return list(filter(None, (bridges.bridge(settings.name), browsers, tools)))


@packages.required
def tools(settings: Settings) -> Iterable[str]:
    return ("nftables",)


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [f"{RULES}/{settings.name}.nft", *(file.path for file in units(settings))]


@preflight.check
def egress_warnings(settings: Settings) -> Iterable[Problem]:
    if settings.egress.host == "allow":
        return
    given = json.dumps([settings.openclaw, settings.gateway.environment])
    open_ports = {parse_destination(one).port for one in settings.egress.allowed}
    for port in sorted(set(re.findall(r"\bhost\.docker\.internal:([0-9]{1,5})\b", given))):
        if int(port) not in open_ports:
            yield Problem(
                f"the settings name host.docker.internal:{port}, and the gateway may not connect to"
                " the host",
                f"set egress.allowed to [host:{port}]",
                stops=False,
            )


@operation
def closed(settings: Settings) -> Generator:
    """Set the rules of who reaches the containers and what they reach, now and after a boot.

    + settings: the settings of the host

    Without systemd they have to be set again after a boot, by the next run.
    """
    there = snapshot.of(Network)
    wanted = [rules(settings), *(units(settings) if there.systemd else [])]
    changed = [file for file in wanted if files.differs(file)]
    if there.closed and not changed and (there.kept or not there.systemd):
        host.noop("the containers are closed to neighbours, and to what they may not reach")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "network/closed.sh.j2",
        files=wanted,
        systemd=there.systemd,
        directory=RULES,
        apply=applied(settings),
        old=[
            *filter(
                None,
                (
                    bridges.bridge(settings.name),
                    bridges.browsers_bridge(settings.name, settings.sandbox),
                ),
            )
        ],
    )
    yield StringCommand("sh -s", _stdin=[script])


@operation
def made(settings: Settings) -> Generator:
    """Make the network that sandboxes have who are to be on a bridge.

    + settings: the settings of the host
    """
    wanted = bridges.tools_bridge(settings)
    there = dict(snapshot.of(Network).interfaces)
    name = names.tools_network(settings.name)
    if wanted is None or name in there:
        host.noop("the sandboxes have the networks that they are to have")
        return
    script = templates.render(
        "network/made.sh.j2",
        docker=engine_access.environment(settings),
        name=name,
        deployment=settings.name,
        bridge=wanted,
        form=uplink.form(EngineWay(settings), name),
        subnet=uplink.subnet(name),
    )
    yield StringCommand("sh -s", _stdin=[script])


@deploy("Network")
def close(settings: Settings) -> None:
    """Close the deployment to the host's neighbours, and the host to the deployment."""
    closed(name="Close containers to neighbours and the host to containers", settings=settings)
    made(name="Make the sandboxes' network", settings=settings)


def _asked(settings: Settings) -> list[str]:
    """The networks of sandboxes that Compose does not make."""
    wanted = browser_network.network(settings.name, settings.sandbox)
    foreign = [wanted.name] if wanted and not wanted.own else []
    return sorted({*bridges.tools_networks(settings), *foreign})


def _users(settings: Settings) -> list[str]:
    """Those as whom a deployment with an engine of its own makes connections on the host."""
    gateway = form.of(settings).user(settings)
    return [engine_access.user_name(settings.name), *([gateway] if gateway else [])]


def _families(addresses: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Addresses by nftables' words for their families."""
    addresses = list(addresses)
    return [
        ("ip", [one for one in addresses if ":" not in one]),
        ("ip6", [one for one in addresses if ":" in one]),
    ]


def applied(settings: Settings) -> Table:
    """Return the deployment's table."""
    return Table(
        name=table(settings),
        rules=f"{RULES}/{settings.name}.nft",
        unit=f"{settings.name}-closed",
        about=f"Who reaches the OpenClaw deployment {settings.name}, and what it reaches",
        kept=f"Keep the rules of the OpenClaw deployment {settings.name}",
    )
