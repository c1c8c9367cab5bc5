"""Several deployments on one machine: which hosts of an inventory are one, and what they share.

Two hosts with one address are two deployments on one machine. Each needs its own name, port and
directories; the engine is the machine's, so its settings have to be the same.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any

import paramiko.config
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.sshuserclient.client import get_ssh_config
from pyinfra.connectors.sshuserclient.config import FakeInvoke, FakeInvokeResult

from toolkit.settings.errors import Problem
from toolkit.settings.model import Engine, Settings
from toolkit.settings.paths import inside

DIRECTORIES = ("project", "config", "workspace", "auth")
SSH_PORT = 22


def machine(host: Host) -> str:
    """Return the machine that `host` is on: its address as `ADDRESS:PORT`, after ~/.ssh/config.

    Only what was written is compared: two names of one address are two machines.
    """
    if not issubclass(host.connector_cls, SSHConnector):
        return host.name
    found = ssh_config(host)
    port = host.data.get("ssh_port") or found.get("port") or SSH_PORT
    through = f" through {found['proxyjump']}" if "proxyjump" in found else ""
    return f"{found['hostname'].lower()}:{port}{through}"


def ssh_config(host: Host) -> dict[str, Any]:
    """Return what the user's configuration of SSH says of a host; `hostname` is always there."""
    name = host.data.get("ssh_hostname") or host.name
    config = get_ssh_config(host.data.get("ssh_config_file"))
    return {"hostname": name, **(config.lookup(name) if config else {})}


class MatchExec(FakeInvoke):
    """`Match exec` in the user's shell, as ssh_config(5) has it; pyinfra's leaves the `-c` out."""

    @staticmethod
    def run(cmd: str, *_: object, **__: object) -> FakeInvokeResult:
        shell = os.environ.get("SHELL") or "/bin/sh"
        done = subprocess.run([shell, "-c", cmd], stdout=subprocess.DEVNULL)
        result = FakeInvokeResult()
        result.ok = done.returncode == 0
        return result


vars(paramiko.config).update(invoke=MatchExec)


def problems(hosts: Iterable[Host], settings: Mapping[str, Settings]) -> Iterator[Problem]:
    """Yield what hosts on one machine may not share; `settings` are those that are valid."""
    together: dict[str, list[str]] = {}
    for host in hosts:
        if host.name in settings:
            together.setdefault(machine(host), []).append(host.name)
    for place, names in together.items():
        for first, second in combinations(names, 2):
            for key, message in _clashes(settings[second], settings[first]):
                yield Problem(second, key, f"{message} {first}, which is on {place} too")


def _clashes(one: Settings, other: Settings) -> Iterator[tuple[str, str]]:
    """Yield the keys of `one` that clash with `other`, and words that end before its name."""
    if one.name == other.name:
        yield "name", f"given {one.name!r}; accepted: another than that of"
        return  # the directories follow from it
    if one.gateway.port == other.gateway.port and _meet(one.gateway.address, other.gateway.address):
        yield "gateway.port", f"given {one.gateway.port}; accepted: another than that of"
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
