"""Caddy, the distribution's own, as far as it is the toolkit's: its files, and what a host says.

Each deployment has a site in a directory of the toolkit's, which Caddy's own file includes. That
file is written only where there is none: who has one of his own adds one line to it.
https://caddyserver.com/docs/caddyfile
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from operations import packages
from operations.base import files, snapshot, templates
from operations.gateway import front
from toolkit.settings import Settings
from toolkit.settings.exposure import WEB_PORTS, Https

PACKAGE = "caddy"
CADDYFILE = "/etc/caddy/Caddyfile"
INCLUDE = f"import {front.SITES}/*.caddy"
CERTIFICATE_BYTES = 64 << 10


@dataclass(frozen=True)
class Listener:
    """Who listens on a port of the web that is not Caddy as a service."""

    port: int
    address: str
    process: str


@snapshot.fact("exposure")
@dataclass(frozen=True)
class Web:
    """What a host that is to be reached by https says of itself.

    `foreign`: Caddy has a file of somebody else's that does not include the toolkit's sites;
    `unknown`: the package lists have no Caddy; `resolved` and `own`: addresses of the domain in the
    DNS, and of the host; `unreachable`: why the ACME server cannot be reached; `serving`: the
    domain is answered by TLS here; `left`: seconds until its certificate ends, and `lifetime`.
    """

    foreign: bool = False
    unknown: bool = False
    active: bool = False
    enabled: bool = False
    resolved: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    unreachable: str = ""
    serving: bool = False
    left: int | None = None
    lifetime: int = 0

    @staticmethod
    def script(settings: Settings) -> str:
        https = settings.exposure.https
        if not https.domain:
            return ""
        return templates.render(
            "exposure/probe.sh.j2",
            domain=https.domain,
            caddyfile=CADDYFILE,
            include=INCLUDE,
            package=PACKAGE,
            directory=https.acme_ca,
            root=root(https),
            ports=[(port, f"{port:04X}") for port in WEB_PORTS],
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Web:
        pairs = [line.partition(" ")[::2] for line in lines]
        words = dict(pairs)
        listeners = []
        for word, rest in pairs:
            if word == "listener":
                port, address, process = rest.split(" ", 2)
                listeners.append(Listener(int(port), address, process))
        ends = [rest.split() for word, rest in pairs if word == "certificate"]
        left, lifetime = max(((int(one), int(other)) for one, other in ends), default=(None, 0))
        return cls(
            foreign="foreign" in words,
            unknown="unknown" in words,
            active="active" in words,
            enabled="enabled" in words,
            resolved=_addresses(rest for word, rest in pairs if word == "resolved"),
            own=_addresses(rest for word, rest in pairs if word == "own"),
            listeners=tuple(listeners),
            unreachable=words.get("unreachable", ""),
            serving="serving" in words,
            left=left,
            lifetime=lifetime,
        )


def _addresses(said: Iterable[str]) -> tuple[str, ...]:
    """Addresses without those that mean the machine itself: a host's name in its own hosts file."""
    found = [ipaddress.ip_address(one.partition("%")[0]) for one in said]
    return tuple(dict.fromkeys(str(one) for one in found if not one.is_loopback))


@packages.known
def known(settings: Settings) -> Iterable[str]:
    return (PACKAGE,) if settings.exposure.https.domain else ()


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    if not settings.exposure.https.domain:
        return ()
    return (CADDYFILE, front.site_path(settings.name), root_path(settings.name))


def root_path(name: str) -> str:
    return f"{front.SITES}/{name}.pem"


def root(https: Https) -> str | None:
    """Return the certificate of the authority that the ACME server's own is of, if one is given.

    Raises:
        OSError: it cannot be read; the preflight has said so before.
        UnicodeDecodeError: it is no text.
    """
    if https.acme_ca_root is None:
        return None
    path = Path(https.acme_ca_root)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(CERTIFICATE_BYTES)
    except (OSError, UnicodeDecodeError):
        return None
    return text.rstrip("\n") + "\n" if "BEGIN CERTIFICATE" in text else None


def wanted(settings: Settings) -> list[files.File]:
    """Return the files of the deployment's site; of Caddy's own file, what it is where there was
    none."""
    https = settings.exposure.https
    certificate = root(https)
    site = templates.render(
        "exposure/site.caddy.j2",
        domain=https.domain,
        email=https.email,
        directory=https.acme_ca,
        root=root_path(settings.name) if certificate else None,
        upstream=f"127.0.0.1:{settings.front_port or settings.gateway.port}",
    )
    found = [files.File(front.site_path(settings.name), site)]
    if certificate:
        found.append(files.File(root_path(settings.name), certificate))
    return found


def caddyfile() -> files.File:
    """Return Caddy's own file, of a host where there was none."""
    return files.File(CADDYFILE, templates.render("exposure/Caddyfile"))
