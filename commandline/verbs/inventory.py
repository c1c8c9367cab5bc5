"""`./claw inventory`: groups, hosts, how each is reached, and which settings were given where."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
import yaml
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector
from rich.text import Text
from rich.tree import Tree

from commandline import asking
from commandline.options import examples, json_option, leave, target_options
from commandline.screen import tables
from commandline.targets import LOCAL
from toolkit import secret_names
from toolkit.settings import Settings, settings_for
from toolkit.settings.sources.layers import connector_types
from toolkit.settings.sources.machines import resolved as resolved_by_ssh
from toolkit.settings.sources.resolve import layers_of, leaves, resolved
from toolkit.terminal import said

_SHOWN_ALREADY = ("ssh_hostname", "ssh_user", "ssh_port", "ssh_key")


@click.command(epilog=examples("./claw inventory inventories/fleet.yml"))
@target_options
@json_option
def inventory(target: str | None, as_json: bool, **options: Any) -> None:
    """Show groups, hosts, and what was given for them.

    That is connections, and the settings that are not the default. Connects to no host. Secrets
    are hidden. All settings of a host: `./claw settings`.
    """
    session = asking.opened(target, **options)
    hosts = session.hosts
    if as_json:
        sys.stdout.write(json.dumps(document(hosts), indent=2) + "\n")
    else:
        tables.screen(200).print(tree(hosts, target))
    leave(0)


def document(hosts: list[Host]) -> dict[str, Any]:
    """Return what is shown as plain data."""
    return {
        "groups": {name: [host.name for host in there] for name, there in _groups(hosts).items()},
        "hosts": {
            host.name: {
                "groups": list(dict.fromkeys(host.groups)),
                "connection": connection(host),
                "settings": {
                    key: {"value": value, "from": origin} for key, value, origin in given(host)
                },
            }
            for host in hosts
        },
    }


def tree(hosts: list[Host], target: str | None) -> Tree:
    """Return the tree: hosts below their groups, each with its details where it comes first."""
    top = Tree(said(target or LOCAL, "bold"), guide_style="dim")
    shown: set[str] = set()
    for name, members in _groups(hosts).items():
        branch = top.add(Text.assemble(said(name, "bold cyan"), f"  {len(members)}"))
        for host in members:
            _add(branch, host, shown)
    for host in hosts:
        if not host.groups:
            _add(top, host, shown)
    return top


def connection(host: Host) -> dict[str, Any]:
    """Return how a host is reached: what the inventory says, and what ~/.ssh/config adds."""
    data = host.data
    if not issubclass(host.connector_cls, SSHConnector):
        kind = host.connector_cls.__name__.removesuffix("Connector").lower()
        return {"connector": kind, **_others(host)}
    there = resolved_by_ssh(host)
    keys = [data.get("ssh_key")] if data.get("ssh_key") else there.own_identities
    reached = {
        "connector": "ssh",
        "address": there.hostname,
        "port": there.port,
        "user": there.user,
        "key": ", ".join(keys) or None,
        "jump": ",".join(there.jumps) or None,
        "command": there.command,
        **_others(host),
    }
    return {key: value for key, value in reached.items() if value is not None}


def given(host: Host) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and origin of each setting that differs from its default."""
    layers = layers_of(host)
    default = dict(leaves(resolved(Settings())))
    for path, value in leaves(resolved(settings_for(host))):
        origin = layers.origin(path)
        if origin and (path not in default or default[path] != value):
            yield ".".join(path), value, origin


def _others(host: Host) -> dict[str, Any]:
    """Return the rest of what was given for the connection, and of pyinfra's arguments."""
    names = sorted(set(connector_types()) - set(_SHOWN_ALREADY))
    arguments = sorted({key for key in host.data.dict() if key.startswith("_")})
    found = {name: host.data.get(name) for name in (*names, *arguments)}
    return {
        name: secret_names.HIDDEN if secret_names.of_connection(name) else value
        for name, value in found.items()
        if value is not None
    }


def _groups(hosts: list[Host]) -> dict[str, list[Host]]:
    groups: dict[str, list[Host]] = {}
    for host in hosts:
        for name in dict.fromkeys(host.groups):
            groups.setdefault(name, []).append(host)
    return groups


def _add(branch: Tree, host: Host, shown: set[str]) -> None:
    if host.name in shown:
        branch.add(Text.assemble(said(host.name), ("  see above", "dim")))
        return
    shown.add(host.name)
    leaf = branch.add(said(host.name, "bold"))
    found = connection(host)
    if found.pop("connector") == "ssh":
        user, address = found.pop("user", None), found.pop("address")
        place = f"[{address}]" if ":" in address else address
        text = f"{user}@{place}" if user else place
        port = found.pop("port")
        leaf.add(said(f"ssh {text}{'' if port == 22 else f':{port}'}"))
    for key, value in found.items():
        leaf.add(said(f"{key}: {_words(value)}"))
    for key, value, origin in given(host):
        leaf.add(Text.assemble(said(f"{key}: {_words(value)}"), said(f"  {origin}", "dim")))


def _words(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")
