"""The compose project."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Compose project")
def configure(settings: Settings) -> None:
    """Not there yet."""


@deploy("Activation")
def activate(settings: Settings) -> None:
    """Not there yet."""


