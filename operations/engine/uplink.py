"""The host's way out: how large its packets are, whether there is IPv4, and what follows for the
networks of the deployment.

A network of the engine's keeps what it was made with. One that is there is described as it is, for
another description would have Compose make it anew below the containers on it; the preflight says
how the user has that done.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from shlex import quote
from typing import Any

from operations.base import preflight, snapshot, templates
from operations.base.preflight import Problem
from operations.engine import daemon
from operations.engine.state import Engine
from operations.engine_access import EngineWay
from operations.system import System
from toolkit.settings import Settings

USUAL = 1500
"""The engine's own idea of a packet's size, where nobody says otherwise."""
_LINE = re.compile(
    r"uplink (?P<family>[46]) (?P<interface>[\w.@-]{1,15}) (?P<mtu>\d{2,5}) ?(?P<ra>ra)?"
    r"|network (?P<name>[\w.-]+) (?P<ipv6>true|false) ?(?P<own>\d{2,5})?",
    re.ASCII,
)
Names = Callable[[Settings], Iterable[str]]
_names: list[Names] = []


@dataclass(frozen=True)
class Way:
    """A default route: its interface, and the largest packet there."""

    interface: str
    mtu: int
    until_forwarding: bool = False


@dataclass(frozen=True)
class Form:
    """What a network has: the size of packets, if it is another than the usual one, and IPv6."""

    mtu: int | None = None
    ipv6: bool = False


@snapshot.fact("uplink")
@dataclass(frozen=True)
class Uplink:
    """The host's default routes, and all networks of the engine."""

    ipv4: Way | None = None
    ipv6: Way | None = None
    networks: tuple[tuple[str, Form], ...] = ()

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render("network/uplink.sh.j2")

    @classmethod
    def parse(cls, lines: list[str]) -> Uplink:
        ways: dict[str, Way] = {}
        networks = []
        for line in lines:
            found = _LINE.fullmatch(line.rstrip())
            if found and found["family"]:
                way = Way(found["interface"], int(found["mtu"]), bool(found["ra"]))
                ways[found["family"]] = way
            elif found:
                mtu = int(found["own"]) if found["own"] else None
                networks.append((found["name"], Form(mtu, found["ipv6"] == "true")))
        return cls(ways.get("4"), ways.get("6"), tuple(networks))

    @property
    def only_ipv6(self) -> bool:
        return self.ipv4 is None and self.ipv6 is not None

    @property
    def wanted(self) -> Form:
        """What a new network is to have."""
        mtus = [way.mtu for way in (self.ipv4, self.ipv6) if way and 1280 <= way.mtu < USUAL]
        return Form(min(mtus, default=None), self.only_ipv6)


def networks(function: Names) -> Names:
    """Register a function that names the networks which the toolkit makes."""
    _names.append(function)
    return function


def made(settings: Settings) -> list[str]:
    """Return the names of the networks that the toolkit makes."""
    return sorted({name for function in _names for name in function(settings)})


def form(way: EngineWay, name: str) -> Form:
    """Return what a network of the deployment has, or is to have when it is made."""
    if way.own_engine:
        return Form()  # its networks end in a program of the host, whose packets those are
    there = snapshot.of(Uplink)
    return dict(there.networks).get(name, there.wanted)


def subnet(name: str) -> str:
    """Return a network's own IPv6 subnet: of those that everybody may take, by its name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"fd{digest[:2]}:{digest[2:6]}:{digest[6:10]}:{digest[10:14]}::/64"


@preflight.check
def uplink_problems(settings: Settings) -> Iterable[Problem]:
    there = snapshot.of(Uplink)
    engine = snapshot.of(Engine)
    deployed = snapshot.of(System).deployed
    if there.only_ipv6:
        yield from ipv6_problems(settings, there, engine, stops=not deployed)
    if EngineWay(settings).own_engine:
        return
    mtu, networks = there.wanted.mtu or USUAL, dict(there.networks)
    of_builds = _daemon(settings, engine).get("mtu") or networks.get("bridge", Form()).mtu or USUAL
    if not deployed and of_builds > mtu:
        yield Problem(
            f"the host's uplink takes packets of {mtu} bytes, builds send {of_builds}: downloads of"
            " theirs may hang",
            f"set engine.daemon to {{mtu: {mtu}}}",
            stops=False,
        )
    again = f"cd {quote(settings.project_directory)} && docker compose down; then ./claw up again"
    for name in set(made(settings)) & networks.keys():
        found = networks[name]
        if (found.mtu or USUAL) > mtu:
            yield Problem(
                f"the network {name} was made for packets of {found.mtu or USUAL} bytes, the host's"
                f" uplink takes {mtu}",
                f"TCP is told so by the deployment's rules; to have the network made anew: {again}",
                stops=False,
            )
        if there.only_ipv6 and not found.ipv6:
            yield Problem(
                f"the network {name} was made without IPv6, and the host has nothing else",
                f"have it made anew: {again}",
                stops=False,
            )


def ipv6_problems(
    settings: Settings, there: Uplink, engine: Engine, stops: bool
) -> Iterable[Problem]:
    """Yield what keeps containers from leaving a host that has no IPv4."""
    what = "the host has no way out over IPv4, and over IPv6 its containers have none:"
    if EngineWay(settings).own_engine:
        yield Problem(
            f"{what} a rootless engine has networks of IPv4 alone",
            "give the host IPv4 (or a CLAT before NAT64), or set sandbox.socket to socket",
            stops,
        )
        return
    now = dict(there.networks).get("bridge", Form()).ipv6
    if not now and _daemon(settings, engine).get("ipv6") is not True:
        yield Problem(
            f"{what} builds and gateway would reach nothing",
            "give the host IPv4 (or a CLAT before NAT64), or set engine.daemon to {ipv6: true,"
            f' ip6tables: true, experimental: true, fixed-cidr-v6: "{subnet("bridge")}"}};'
            " the deployment's networks then have IPv6, too",
            stops,
        )
    elif there.ipv6 and there.ipv6.until_forwarding:
        interface = there.ipv6.interface
        yield Problem(
            f"the host has its IPv6 route from a router, and {interface} takes no more of them once"
            " the engine forwards packets",
            f"sysctl net.ipv6.conf.{interface}.accept_ra=2, also in /etc/sysctl.d",
            stops,
        )


def _daemon(settings: Settings, engine: Engine) -> dict[str, Any]:
    """Return daemon.json as it will be, as far as it can be read."""
    try:
        current = daemon.parse(engine.daemon)
    except ValueError:  # named by the engine's own check
        current = {}
    return daemon.desired(settings.engine, current, engine.arguments, engine.swarm)
