"""The compose project's files on a host: their names, and in which order Compose reads them."""

from __future__ import annotations

from collections.abc import Iterable

from operations.base import files
from toolkit.settings import Settings

BASE, OVERRIDE, EXTRA = (
    "docker-compose.yml",
    "docker-compose.override.yml",
    "docker-compose.extra.yml",
)
GATEWAY = "openclaw-gateway"


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [path(settings, name) for name in (BASE, OVERRIDE, EXTRA)]


def path(settings: Settings, name: str) -> str:
    return f"{settings.project_directory}/{name}"


def has_extra(settings: Settings) -> bool:
    return bool(settings.extra_mounts or settings.home_volume)


def compose_files(settings: Settings) -> list[str]:
    """Return the names of the compose files of the current host in their order of precedence.

    The order is that of OpenClaw's documentation (install/docker): the user's override first,
    then the extra file.
    """
    names = [BASE]
    if files.found(path(settings, OVERRIDE)):
        names.append(OVERRIDE)
    if has_extra(settings):
        names.append(EXTRA)
    return names
