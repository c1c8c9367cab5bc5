"""The apt sources that the engine may need: Docker's repository, and a later release."""

from __future__ import annotations

from operations.base import templates
from operations.base.files import File
from operations.distributions import RELEASES, TITLES, Borrowed, Release
from operations.system import ARCHITECTURES, System
from toolkit.settings import Settings

KEY = "/etc/apt/keyrings/docker.asc"
FINGERPRINT = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
"""Of Docker's key for Debian and Ubuntu: https://docs.docker.com/engine/install/debian/"""
SOURCE = "/etc/apt/sources.list.d/docker.sources"
BORROWED_FILES = tuple(
    path
    for codename in dict.fromkeys(one.borrowed.codename for one in RELEASES if one.borrowed)
    for path in (
        f"/etc/apt/sources.list.d/openclaw-{codename}.sources",
        f"/etc/apt/preferences.d/openclaw-{codename}",
    )
)
"""The sources of a later release, and the pins that let only what is borrowed come from them."""


def repository(settings: Settings, distribution: str) -> str:
    """Return the address of Docker's repository for a distribution, without a final slash.

    https://docs.docker.com/engine/install/debian/
    """
    return f"{settings.engine.repository_url.rstrip('/')}/{distribution}"


def borrowing(release: Release, borrowed: Borrowed) -> dict[str, object]:
    """Return what `engine/borrowed.sh.j2` is told, which lets packages of a later release be
    installed on a host of this one, and nothing else of it.
    """
    source, pin = (path for path in BORROWED_FILES if f"/openclaw-{borrowed.codename}" in path)
    return {
        "source": source,
        "pin": pin,
        "own": release.codename,
        "suite": borrowed.codename,
        "title": (TITLES[release.distribution], borrowed.number),
        "packages": borrowed.packages,
        "in_words": " and ".join(borrowed.packages).split(),
        "key": borrowed.key,
    }


def docker(settings: Settings, system: System) -> File:
    """Return the deb822 source of Docker's repository, trusted by its own key alone."""
    content = templates.render(
        "engine/docker.sources.j2",
        url=repository(settings, system.distribution),
        suite=system.codename,
        architecture=ARCHITECTURES[system.machine],
        key=KEY,
    )
    return File(SOURCE, content)
