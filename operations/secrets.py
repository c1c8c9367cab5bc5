"""The gateway token and the credentials in .env."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Secrets")
def write(settings: Settings) -> None:
    """Not there yet."""


