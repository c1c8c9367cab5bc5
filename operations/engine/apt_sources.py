"""The apt sources that the engine may need: Docker's repository, and two packages of Debian 13."""

from __future__ import annotations

from operations.base import templates
from operations.base.files import File
from operations.system import ARCHITECTURES, System
from toolkit.settings import Settings

KEY = "/etc/apt/keyrings/docker.asc"
FINGERPRINT = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
"""Of Docker's key for Debian and Ubuntu: https://docs.docker.com/engine/install/debian/"""
SOURCE = "/etc/apt/sources.list.d/docker.sources"
TRIXIE_FILES = (
    "/etc/apt/sources.list.d/openclaw-trixie.sources",
    "/etc/apt/preferences.d/openclaw-trixie",
)
"""The source of Debian 13 on Debian 12, and the pin that lets two packages come from it."""


def repository(settings: Settings, distribution: str) -> str:
    """Return the address of Docker's repository for a distribution, without a final slash.

    https://docs.docker.com/engine/install/debian/
    """
    return f"{settings.engine.repository_url.rstrip('/')}/{distribution}"


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
