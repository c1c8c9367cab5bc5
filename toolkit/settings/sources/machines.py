"""Several deployments on one machine: which hosts of an inventory are one, and what they share.

Two hosts with one address are two deployments on one machine. Each needs its own name, port and
directories; the engine is the machine's, so its settings have to be the same.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from toolkit import openssh
from toolkit.greenlets import Pool
from toolkit.openssh import OpenSSHError, Question, Resolved
from toolkit.settings.contradictions.mounts import inside
from toolkit.settings.model import Engine, Settings
from toolkit.settings.sources.errors import Problem

AT_ONCE, MOST_TOGETHER = 8, 100
DIRECTORIES = ("project", "config", "workspace", "auth")


def machine(host: Host) -> str:
    """Return the machine that `host` is on: its address as `ADDRESS:PORT`, after ~/.ssh/config.

    Only what was written is compared: two names of one address are two machines.
    """
    if not issubclass(host.connector_cls, SSHConnector):
        return host.name
    there = resolved(host)
    through = f" through {there.way_through}" if there.way_through else ""
    return f"{there.hostname.lower()}:{there.port}{through}"


def resolved(host: Host) -> Resolved:
    """Return what OpenSSH makes of a host over SSH, with what its host data say.

    Raises:
        OpenSSHError: it refuses the configuration or the name.
    """
    return openssh.resolve(*_asked(host))


def _asked(host: Host) -> Question:
    data = host.data
    port = data.get("ssh_port")
    return (
        data.get("ssh_hostname") or host.name,
        data.get("ssh_user"),
        int(port) if port else None,
        data.get("ssh_config_file"),
    )


def problems(hosts: Iterable[Host], settings: Mapping[str, Settings]) -> Iterator[Problem]:
    """Yield what hosts on one machine may not share; `settings` are those that are valid."""
    together: dict[str, list[str]] = {}
    known = [host for host in hosts if host.name in settings]
    asked = [_asked(host) for host in known if issubclass(host.connector_cls, SSHConnector)]
    size = min(MOST_TOGETHER, -(-len(asked) // AT_ONCE)) or 1
    if size > 1:
        parts = [asked[start : start + size] for start in range(0, len(asked), size)]
        Pool(AT_ONCE).map(openssh.ask_together, parts)
    for host, place in zip(known, Pool(AT_ONCE).map(_machine, known), strict=True):
        if isinstance(place, OpenSSHError):
            yield Problem(host.name, "ssh", str(place))
        else:
            together.setdefault(place, []).append(host.name)
    for place, names in together.items():
        for first, second in combinations(names, 2):
            for key, message in _clashes(settings[second], settings[first]):
                yield Problem(second, key, f"{message} {first}, which is on {place} too")


def _machine(host: Host) -> str | OpenSSHError:
    try:
        return machine(host)
    except OpenSSHError as error:
        return error


def _clashes(one: Settings, other: Settings) -> Iterator[tuple[str, str]]:
    """Yield the keys of `one` that clash with `other`, and words that end before its name."""
    if one.name == other.name:
        yield "name", f"given {one.name!r}; accepted: another than that of"
        return  # the directories follow from it
    if one.gateway.port == other.gateway.port and _meet(one.gateway.address, other.gateway.address):
        yield "gateway.port", f"given {one.gateway.port}; accepted: another than that of"
    if {one.gateway.port, one.front_port} & {other.front_port} - {None} or (
        one.front_port == other.gateway.port
    ):
        yield (
            "gateway.port",
            f"given {one.gateway.port}; with exposure it takes the tenth port after it, too;"
            " accepted: one apart from that of",
        )
    if one.exposure.https.domain and one.exposure.https.domain == other.exposure.https.domain:
        given = f"given {one.exposure.https.domain}"
        yield "exposure.https.domain", f"{given}; accepted: another than that of"
    if one.exposure.tailscale.name and other.exposure.tailscale.name:
        given = f"given {one.exposure.tailscale.name}; a host is one machine of a tailnet"
        yield "exposure.tailscale.name", f"{given}; accepted: none beside that of"
    for name in DIRECTORIES:
        path = getattr(one, f"{name}_directory")
        for other_name in DIRECTORIES:
            taken = getattr(other, f"{other_name}_directory")
            if path == taken or inside(path, taken) or inside(taken, path):
                yield (
                    f"directories.{name}",
                    f"given {path}; accepted: a directory apart from directories.{other_name} "
                    f"({taken}) of",
                )
    if one.home_volume and one.home_volume == other.home_volume:
        yield "home_volume", f"given {one.home_volume!r}; accepted: another than that of"
    for name in Engine.model_fields:
        if name != "users" and getattr(one.engine, name) != getattr(other.engine, name):
            yield f"engine.{name}", "the engine is shared; accepted: the same as that of"


def _meet(one: str, other: str) -> bool:
    """Whether two addresses cannot have the same port: the same, or one of them is all."""
    addresses = ipaddress.ip_address(one), ipaddress.ip_address(other)
    return one == other or any(address.is_unspecified for address in addresses)
