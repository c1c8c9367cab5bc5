"""Proof that the gateway is healthy and closed."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from toolkit.settings import Settings


@deploy("Verification")
def verify(settings: Settings) -> None:
    """Not there yet."""


