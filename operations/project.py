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
    return [path(settings.project_directory, name) for name in (BASE, OVERRIDE, EXTRA)]


def path(directory: str, name: str) -> str:
    return f"{directory}/{name}"


def compose_files(directory: str, mounts_more: bool) -> list[str]:
    """Return the names of the compose files of the current host in their order of precedence.

    + mounts_more: whether there is one with further mounts

    The order is that of OpenClaw's documentation (install/docker): the user's override first,
    then the extra file.
    """
    names = [BASE]
    if files.found(path(directory, OVERRIDE)):
        names.append(OVERRIDE)
    if mounts_more:
        names.append(EXTRA)
    return names
