"""The names of what belongs to a deployment's sandboxes.

For the deployment `openclaw` they are those of OpenClaw's documentation; every other deployment
on the same engine has its own, since two gateways would fight over one container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from toolkit.settings.sandbox.model import Sandbox

ImageKind = Literal["minimal", "common", "browser"]
SUITE = "bookworm-slim"


def tag(deployment: str, kind: ImageKind) -> str:
    """Return the tag of a sandbox image, such as `openclaw-sandbox-common:bookworm-slim`."""
    suffix = "" if kind == "minimal" else f"-{kind}"
    return f"{deployment}-sandbox{suffix}:{SUITE}"


def kinds(sandbox: Sandbox) -> tuple[ImageKind, ...]:
    """Return the images that the settings need; the minimal one is the base of the common one."""
    if not sandbox.enabled:
        return ()
    wanted: list[ImageKind] = ["minimal"]
    if sandbox.images.common.enabled:
        wanted.append("common")
    if sandbox.has_browser:
        wanted.append("browser")
    return tuple(wanted)


def tools_image(deployment: str, sandbox: Sandbox) -> str:
    """Return the tag of the image in which tools run."""
    return tag(deployment, "common" if sandbox.images.common.enabled else "minimal")


def container_prefix(deployment: str) -> str:
    return f"{deployment}-sbx-"


def browser_prefix(deployment: str) -> str:
    return f"{deployment}-sbx-browser-"


def browser_network(deployment: str, sandbox: Sandbox) -> str:
    return sandbox.browser.network or f"{deployment}-sandbox-browser"


def tools_network(deployment: str) -> str:
    """Return the network that the settings call `bridge`: the engine's own of that name is shared
    with other containers.
    """
    return f"{deployment}-sandbox-tools"


def agent_of(container: Mapping[str, Any]) -> str:
    """Return the agent whose sandbox a container is, or `shared`, as OpenClaw labels it."""
    key = container["Config"]["Labels"].get("openclaw.sessionKey", "")
    return key.split(":")[1] if key.startswith("agent:") else "shared"


def is_browser(container: Mapping[str, Any]) -> bool:
    """Whether a sandbox is one of a browser, as OpenClaw labels it."""
    return "openclaw.sandboxBrowser" in container["Config"]["Labels"]
