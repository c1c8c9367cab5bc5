"""The way from a gateway in a container to the browsers of its sandboxes.

OpenClaw publishes a browser's control port on the loopback of the engine's host and looks for it on
its own (the release's `ensureSandboxBrowser`); a container has another loopback. So the gateway is
on the browsers' network, and `docker-loopback.sh` in its image opens the port there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from operations.base import preflight
from operations.base.preflight import Problem
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.model import Sandbox


@dataclass(frozen=True)
class Network:
    """A network by name; `own`: the deployment makes it."""

    name: str
    own: bool


def network(deployment: str, sandbox: Sandbox) -> Network | None:
    """Return the network on which the gateway meets its sandboxes' browsers; None without any."""
    if "browser" not in names.kinds(sandbox):
        return None
    return Network(names.browser_network(deployment, sandbox), sandbox.browser.network is None)


@preflight.check
def browser_problems(settings: Settings) -> Iterable[Problem]:
    wanted = network(settings.name, settings.sandbox)
    if wanted and settings.gateway.source == "git":
        yield Problem(
            "sandbox.browser: OpenClaw's own Dockerfile (gateway.source: git) makes no image from"
            " which a sandboxed browser can be reached",
            "set gateway.source to npm or image, or sandbox.browser.enabled to false",
        )
