"""Debian packages, through one choke point."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Packages")
def install(settings: Settings) -> None:
    """Not there yet."""


