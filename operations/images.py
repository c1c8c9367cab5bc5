"""Base images and the gateway image."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Images")
def build(settings: Settings) -> None:
    """Not there yet."""


