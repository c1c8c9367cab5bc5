"""The networks of a deployment's containers, and the names of their bridges on the host."""

from __future__ import annotations

import hashlib

from operations.gateway import browser_network
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.model import Sandbox
from toolkit.settings.sandbox.view import views


def bridge(deployment: str) -> str:
    """Return the name of the deployment's bridge: an interface's name has at most 15 characters."""
    name = f"claw-{deployment}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name if len(name) <= 15 else f"{name[:6]}-{digest}"


def browsers_bridge(deployment: str, sandbox: Sandbox) -> str | None:
    """Return the name of the bridge of the deployment's own network of browsers; None without."""
    wanted = browser_network.network(deployment, sandbox)
    if wanted is None or not wanted.own:
        return None
    return short("clawb", wanted.name)


def tools_bridge(settings: Settings) -> str | None:
    """Return the name of the bridge of the tools' own network; None if no sandbox has it."""
    own = names.tools_network(settings.name) in tools_networks(settings)
    return short("clawt", settings.name) if own else None


def tools_networks(settings: Settings) -> list[str]:
    """Return the networks of the sandboxes in which tools run."""
    if not settings.sandbox.enabled:
        return []
    given = {view.container.network for view in views(settings.sandbox)} - {"none"}
    return sorted(
        names.tools_network(settings.name) if name == "bridge" else name for name in given
    )


def short(kind: str, name: str) -> str:
    """Return the name of an interface of a kind, for any name."""
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
