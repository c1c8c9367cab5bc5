"""The host itself, as `host:` in the settings has it: each part by its own operation."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api.deploy import deploy

from operations.hardening import firewall
from toolkit.settings import Settings


@dataclass(frozen=True)
class Part:
    """What a removal takes away: a file that names its deployment, and the script that does it."""

    path: str
    what: str
    script: str


def parts() -> list[Part]:
    """Return what there may be of a deployment's on a host."""
    return [Part(firewall.TABLE.rules, "who reaches the host", firewall.gone())]


@deploy("Host")
def harden(settings: Settings) -> None:
    """Close the host, and keep it in order, as far as it is asked for."""
    firewall.closed(name="Close the host to strangers", settings=settings)
