"""The kernel profiles of a deployment's containers: system calls (seccomp) and AppArmor."""

from __future__ import annotations

from typing import Literal

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings

Kind = Literal["tools", "browser", "gateway"]
KINDS: tuple[Kind, ...] = ("tools", "browser", "gateway")
SECURITY_IN_GATEWAY = "/etc/openclaw-pyinfra/security"
"""Where `<project>/security` is mounted in the gateway's container, for OpenClaw to read."""


def directory(settings: Settings) -> str:
    """Return the host directory of the profiles."""
    return f"{settings.project_directory}/security"


def seccomp_path(settings: Settings, kind: Kind) -> str:
    """Return the path on the host of a system call profile."""
    return f"{directory(settings)}/seccomp-{kind}.json"


def apparmor_profile(settings: Settings, kind: Kind) -> str | None:
    """Return the name of an AppArmor profile as the kernel knows it; None where there is none."""
    return None


@deploy("Security profiles")
def install(settings: Settings) -> None:
    """Write the profiles, once the host's engine has started a container with each."""
