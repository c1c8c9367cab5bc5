"""The AppArmor profiles: which files a container may read, write and execute, and nothing else.

A profile says nothing that Docker has not said already (read-only root, no capabilities); it
holds where that fails. https://gitlab.com/apparmor/apparmor/-/wikis/QuickProfileLanguage
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from operations.base import templates
from operations.security.seccomp import KINDS, Kind
from toolkit.settings import Settings
from toolkit.settings.sandbox.model import SandboxContainer
from toolkit.settings.types import parse_mount

SYSTEM = (
    *("/app", "/bin", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/opt", "/root", "/sbin", "/usr", "/var"),
)
"""Where an image's programs and their data are."""
PERMISSIVE_CAPABILITIES = ("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid")
"""What package managers need, in a sandbox that keeps capabilities."""


@dataclass(frozen=True)
class Profile:
    """One profile: its name, the paths that may be read and those that may be written to as well,
    both with all below them, and what else it allows."""

    name: str
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    capabilities: tuple[str, ...] = ()
    docker_socket: bool = False


def name(deployment: str, kind: Kind) -> str:
    return f"{deployment}-{kind}"


def path(settings: Settings) -> str:
    """Return the file of a deployment's profiles; AppArmor's own service loads it at boot."""
    return f"/etc/apparmor.d/openclaw-pyinfra.{settings.name}"


def profiles(settings: Settings) -> list[Profile]:
    """Return the profiles of a deployment."""
    return [_gateway(settings) if kind == "gateway" else _sandbox(settings, kind) for kind in KINDS]


def render(settings: Settings) -> str:
    """Return the file of a deployment's profiles."""
    return templates.render("security/profiles.apparmor.j2", profiles=profiles(settings))


def _sandbox(settings: Settings, kind: Kind) -> Profile:
    """One for all agents: what one of them may, Docker keeps from the others."""
    sandbox = settings.sandbox
    agents = [_merged(sandbox.container, agent.container) for agent in sandbox.agents.values()]
    containers = [sandbox.container, *agents]
    readable, writable = set(SYSTEM), {"/tmp", "/var/tmp", "/workspace", "/agent"}
    for container in containers:
        writable.add(container.workdir)
        writable.update(entry.partition(":")[0] for entry in container.tmpfs)
        for mount in map(parse_mount, container.binds):
            (readable if mount.read_only else writable).add(mount.target)
        if not container.read_only_root:
            writable.update(SYSTEM)
    dropped = all("ALL" in container.capabilities_dropped for container in containers)
    return Profile(
        name(settings.name, kind),
        _patterns(readable),
        _patterns(writable),
        () if dropped else PERMISSIVE_CAPABILITIES,
    )


def _merged(general: SandboxContainer, own: SandboxContainer) -> SandboxContainer:
    return general.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _gateway(settings: Settings) -> Profile:
    readable, writable = set(SYSTEM), {"/home/node", "/tmp"}
    for mount in map(parse_mount, settings.extra_mounts):
        (readable if mount.read_only else writable).add(mount.target)
    return Profile(
        name(settings.name, "gateway"),
        _patterns(readable),
        _patterns(writable),
        docker_socket=settings.sandbox.enabled,
    )


def _patterns(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths sorted, without those below another one."""
    found: list[str] = []
    for path in sorted({path.rstrip("/") for path in paths}):
        if not any(path.startswith(f"{parent}/") for parent in found):
            found.append(path)
    return tuple(found)
