"""Docker Engine, Compose v2 and BuildKit."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Engine")
def install(settings: Settings) -> None:
    """Not there yet."""


@deploy("Engine configuration")
def configure(settings: Settings) -> None:
    """Not there yet."""


