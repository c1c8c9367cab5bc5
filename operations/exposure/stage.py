"""How people reach the Control UI from elsewhere: a tunnel, Caddy in front of the gateway, or a
tailnet (`operations/exposure/tailscale`).

With `exposure.https` the distribution's Caddy has a site for the domain: it gets a certificate by
ACME, speaks TLS and HTTP/2, and hands on requests and WebSockets to the port that is published on
the host's loopback, with the client's own address. The gateway goes on asking for its token and
for each device to be approved (docs: gateway/security/network-exposure).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import files, notes, preflight, snapshot, templates
from operations.base.answers import printable
from operations.base.check import Check
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.engine_access import EngineWay
from operations.exposure import caddy, tailscale
from operations.exposure.caddy import Web
from operations.gateway import conflicts, front
from operations.packages import Packages
from operations.system import System
from toolkit import outside
from toolkit.settings import Settings
from toolkit.settings.exposure import WEB_PORTS, Https

CERTIFICATE_SECONDS = 120
"""How long the first certificate may take; ACME takes some seconds."""
INSTALL_SECONDS = 1800
EXPIRING = 5
"""Caddy renews when a third of a certificate's time is left; with less than this part of it left,
something keeps it from that."""


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    https = settings.exposure.https
    if settings.exposure.profile == "proxy" and EngineWay(settings).own_engine:
        yield Problem(
            "exposure.proxy: an engine without root connects to the gateway from one address,"
            " whoever asks, so that the proxy could not be told from others",
            "set sandbox.socket to socket, or exposure to tunnel",
        )
    if https.domain is None:
        return
    there = snapshot.of(Web)
    if not snapshot.of(System).systemd:
        yield Problem("exposure.https needs systemd, which runs Caddy", "set exposure to tunnel")
    if EngineWay(settings).own_engine and settings.front_port:
        yield Problem(
            "exposure.https: an engine without root connects to the gateway from one address,"
            " whoever asks, so that Caddy could not be told from a tunnel",
            "set sandbox.socket to host or socket, or exposure to tunnel",
        )
    yield from _file_problems(https, there)
    yield from _port_problems(settings, there)
    yield from domain_problems(https.domain, there, [*https.addresses, *_connected()])
    if there.unreachable:
        yield Problem(
            f"exposure.https.acme_ca: {https.acme_ca} cannot be reached from the host:"
            f" {printable(there.unreachable)}",
            "correct the address, or exposure.https.acme_ca_root, or let the host connect to it",
        )
    if there.left is not None and there.left * EXPIRING < there.lifetime:
        yield Problem(
            f"the certificate of {https.domain} ends in {there.left // 3600} hours and was not"
            " renewed",
            "see why on the host: journalctl -u caddy",
            stops=False,
        )


def domain_problems(domain: str, there: Web, more: Iterable[str]) -> Iterable[Problem]:
    """Say whether a domain leads to the host: each of its addresses, for an authority takes any.

    + more: addresses that lead there as well
    """
    known = {*there.own, *more}
    if not there.resolved:
        yield Problem(
            f"exposure.https.domain: {domain} has no address in the DNS, as the host sees it",
            f"give it an A or AAAA record with an address of the host ({_listed(there.own)})",
        )
    elif wrong := [one for one in there.resolved if one not in known]:
        yield Problem(
            f"exposure.https.domain: {domain} leads to {', '.join(wrong)}, which is no address of"
            f" the host ({_listed(sorted(known))})",
            "correct its A and AAAA records; if these lead to the host all the same (a router or a"
            " floating address), name them in exposure.https.addresses",
        )


def _file_problems(https: Https, there: Web) -> Iterable[Problem]:
    if there.foreign:
        yield Problem(
            f"{caddy.CADDYFILE} is not the toolkit's, and is left as it is",
            f"add this line to it, or move it away: {caddy.INCLUDE}",
        )
    if there.unknown and caddy.PACKAGE not in snapshot.of(Packages).versions:
        yield Problem(
            f"{snapshot.of(System).title} has no package {caddy.PACKAGE}",
            "add a source of packages that has it, or set exposure to tunnel",
        )
    path = https.acme_ca_root
    if path and caddy.root(https) is None:
        yield Problem(
            f"exposure.https.acme_ca_root: {path} on this machine is no certificate in PEM form",
            "correct the path",
        )


def _port_problems(settings: Settings, there: Web) -> Iterable[Problem]:
    containers = snapshot.of(conflicts.There).containers
    taken = {one.port: f"{printable(one.process)} on {one.address}" for one in there.listeners}
    for port in WEB_PORTS:
        by = [one.name for one in containers if one.publishes(port)]
        who = f"the container {conflicts.shown(by[0])}" if by else taken.get(port)
        if who:
            yield Problem(
                f"exposure.https: port {port} of the host is in use by {who.strip()}",
                "stop that; or let it be the proxy, by gateway.trusted_proxies and"
                " gateway.allowed_origins instead of exposure.https",
            )


def _connected() -> list[str]:
    """Addresses by which this machine itself reaches the host."""
    name = getattr(host.data, "ssh_hostname", None) or host.name
    return [str(ipaddress.ip_address(one.partition("%")[0])) for one in outside.resolved(name)]


def _listed(addresses: Iterable[str]) -> str:
    return ", ".join(addresses) or "which has none"


@operation
def served(settings: Settings) -> Generator:
    """Have Caddy serve the domain, or take its site away.

    + settings: the settings of the host
    """
    if settings.exposure.profile != "https":
        if not snapshot.of(front.Front).site:
            host.noop("nothing stands in front of the gateway")
            return
        script = templates.render("exposure/remove.sh.j2", **removal(settings.name))
        yield StringCommand("sh -s", _stdin=[script])
        return
    there, wanted = snapshot.of(Web), caddy.wanted(settings)
    own = files.found(caddy.CADDYFILE) is None
    changed = [file for file in wanted if files.differs(file)]
    stale = [
        path for path in (caddy.root_path(settings.name),) if path not in {f.path for f in wanted}
    ]
    stale = [path for path in stale if files.found(path)]
    ready = there.active and there.enabled and there.serving
    if not changed and not stale and not own and ready:
        host.noop("Caddy serves the domain")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "exposure/configure.sh.j2",
        directory=front.SITES,
        files=[*wanted, *([caddy.caddyfile()] if own else [])],
        site=wanted[0].path,
        stale=stale,
        caddyfile=caddy.CADDYFILE,
        package=caddy.PACKAGE,
        domain=settings.exposure.https.domain,
        seconds=CERTIFICATE_SECONDS,
    )
    yield StringCommand("sh -s", _stdin=[script], _timeout=INSTALL_SECONDS)
    notes.of(host).checks.append(Check("https", "ok"))


def removal(name: str) -> dict[str, object]:
    """Return what `exposure/gone.sh.j2` is rendered with."""
    return {
        "site": front.site_path(name),
        "root": caddy.root_path(name),
        "sites": front.SITES,
        "caddyfile": caddy.CADDYFILE,
        "digest": files.digest(caddy.caddyfile().content),
        **tailscale.removal(name),
    }


@deploy("Exposure")
def expose(settings: Settings) -> None:
    """Have people reach the gateway in the way that the settings say."""
    by_tailnet = settings.exposure.profile == "tailscale"
    # Port 443 is one's or the other's: who has it no more leaves it first.
    if not by_tailnet:
        tailscale.served(name="Have the tailnet served as the settings say", settings=settings)
    served(name="Have the gateway reached as the settings say", settings=settings)
    if by_tailnet:
        tailscale.served(name="Have the tailnet served as the settings say", settings=settings)
