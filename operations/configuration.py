"""openclaw.json: the keys that the toolkit owns."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Gateway configuration")
def merge(settings: Settings) -> None:
    """Not there yet."""


