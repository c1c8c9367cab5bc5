"""Directories owned by the container's uid."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Directories")
def create(settings: Settings) -> None:
    """Not there yet."""


