"""The host itself, as `host:` in the settings has it: each part by its own operation."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api.deploy import deploy

from operations.hardening import firewall, shutdown, sshd, upkeep
from toolkit.settings import Settings


@dataclass(frozen=True)
class Part:
    """What a removal takes away: a file that names its deployment, and the script that does it."""

    path: str
    what: str
    script: str


def parts() -> list[Part]:
    """Return what there may be of a deployment's on a host."""
    return [
        Part(firewall.TABLE.rules, "who reaches the host", firewall.gone()),
        Part(sshd.PATH, "what sshd takes", sshd.gone()),
        Part(upkeep.JAIL, "fail2ban's jail", upkeep.gone(upkeep.JAIL, "fail2ban")),
        Part(upkeep.UPGRADES, "updates by themselves", upkeep.gone(upkeep.UPGRADES)),
        Part(shutdown.UNIT, "what a reboot waits for", shutdown.gone()),
        Part(upkeep.SWAP_UNIT, "swap", upkeep.swap_gone()),
    ]


@deploy("Host")
def harden(settings: Settings) -> None:
    """Close the host, and keep it in order, as far as it is asked for."""
    firewall.closed(name="Close the host to strangers", settings=settings)
    sshd.configured(name="Have sshd take no more than it needs to", settings=settings)
    upkeep.guessers_shut_out(name="Shut out who guesses passwords", settings=settings)
    upkeep.upgrades_installed(name="Have updates of security installed", settings=settings)
    shutdown.turns_finished(name="Have a reboot wait for running turns", settings=settings)
    upkeep.swapping(name="Have swap where memory is little", settings=settings)
    upkeep.clock_set(name="Have the clock set by time servers", settings=settings)
