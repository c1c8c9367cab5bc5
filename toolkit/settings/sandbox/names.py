"""The names of what belongs to a deployment's sandboxes.

For the deployment `openclaw` they are those of OpenClaw's documentation; every other deployment
on the same engine has its own, since two gateways would fight over one container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from toolkit.settings import Settings

ImageKind = Literal["minimal", "common", "browser"]
SUITE = "bookworm-slim"


def tag(settings: Settings, kind: ImageKind) -> str:
    """Return the tag of a sandbox image, such as `openclaw-sandbox-common:bookworm-slim`."""
    suffix = "" if kind == "minimal" else f"-{kind}"
    return f"{settings.name}-sandbox{suffix}:{SUITE}"


def kinds(settings: Settings) -> tuple[ImageKind, ...]:
    """Return the images that the settings need; the minimal one is the base of the common one."""
    if not settings.sandbox.enabled:
        return ()
    wanted: list[ImageKind] = ["minimal"]
    if settings.sandbox.images.common.enabled:
        wanted.append("common")
    if settings.sandbox.has_browser:
        wanted.append("browser")
    return tuple(wanted)


def tools_image(settings: Settings) -> str:
    """Return the tag of the image in which tools run."""
    return tag(settings, "common" if settings.sandbox.images.common.enabled else "minimal")


def container_prefix(settings: Settings) -> str:
    return f"{settings.name}-sbx-"


def browser_prefix(settings: Settings) -> str:
    return f"{settings.name}-sbx-browser-"


def browser_network(settings: Settings) -> str:
    return settings.sandbox.browser.network or f"{settings.name}-sandbox-browser"


def tools_network(settings: Settings) -> str:
    """Return the network that the settings call `bridge`: the engine's own of that name is shared
    with other containers.
    """
    return f"{settings.name}-sandbox-tools"


def agent_of(container: Mapping[str, Any]) -> str:
    """Return the agent whose sandbox a container is, or `shared`, as OpenClaw labels it."""
    key = container["Config"]["Labels"].get("openclaw.sessionKey", "")
    return key.split(":")[1] if key.startswith("agent:") else "shared"


def is_browser(container: Mapping[str, Any]) -> bool:
    """Whether a sandbox is one of a browser, as OpenClaw labels it."""
    return "openclaw.sandboxBrowser" in container["Config"]["Labels"]
