"""The deployment's bridge network: reachable from outside through the published port only.

A port that is published on loopback is closed to strangers, but up to release 27 the engine also
accepts packets that a neighbour routes to the container's own address
(https://docs.docker.com/engine/network/packet-filtering-firewalls/, "Direct routing"). One rule in
the mangle table, which the engine never touches, drops them; it stands before the engine starts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import access, files, packages, snapshot, templates
from operations.operation import operation
from operations.sandbox import browser
from toolkit.settings import Settings


def bridge(settings: Settings) -> str:
    """Return the name of the deployment's bridge: an interface's name has at most 15 characters."""
    name = f"claw-{settings.name}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name if len(name) <= 15 else f"{name[:6]}-{digest}"


def browsers_bridge(settings: Settings) -> str | None:
    """Return the name of the bridge of the deployment's own network of browsers; None without."""
    wanted = browser.network(settings)
    if wanted is None or not wanted.own:
        return None
    return f"clawb-{hashlib.sha256(wanted.name.encode()).hexdigest()[:8]}"


def rule(name: str, action: str) -> str:
    """Return the command that checks (`-C`) or inserts (`-I`) the rule of a bridge."""
    return (
        f"iptables -w -t mangle {action} FORWARD -o {name} ! -i {name} "
        "-m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j DROP"
    )


def rules(settings: Settings) -> list[tuple[str, str]]:
    """Return the commands that check and that insert the rule, for each of the bridges."""
    bridges = filter(None, (bridge(settings), browsers_bridge(settings)))
    return [(rule(name, "-C"), rule(name, "-I")) for name in bridges]


def unit(settings: Settings) -> files.File:
    """Return the systemd unit that sets the rule at boot."""
    content = templates.render(
        "network/closed.service.j2",
        deployment=settings.name,
        rules=rules(settings),
    )
    return files.File(f"/etc/systemd/system/{settings.name}-closed.service", content)


@packages.required
def tools(settings: Settings) -> Iterable[str]:
    return ("iptables",)


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [unit(settings).path]


@snapshot.probe("network")
def network_probe(settings: Settings) -> str:
    checks = " && ".join(check for check, _ in rules(settings))
    return f"{checks} && echo closed\n[ ! -d /run/systemd/system ] || echo systemd"


@operation
def closed(settings: Settings) -> Generator:
    """Let nothing into the bridge but what came through the published port, now and after a boot.

    + settings: the settings of the host

    Without systemd the rule has to be set again after a boot, by the next run.
    """
    if access.own_engine(settings):
        host.noop("the bridge is in the rootless engine's own network, which nobody can reach")
        return
    wanted, found = unit(settings), snapshot.read().get("network", "").split()
    if "closed" in found and not ("systemd" in found and files.differs(wanted)):
        host.noop("the bridge is closed")
        return
    script = templates.render(
        "network/closed.sh.j2",
        unit=wanted.path,
        content=wanted.content,
        rules=rules(settings),
    )
    yield StringCommand("sh -s", _stdin=[script])


@deploy("Network")
def close(settings: Settings) -> None:
    """Close the deployment's bridge to the host's neighbours."""
    closed(name="Close the gateway's bridge to neighbours", settings=settings)
