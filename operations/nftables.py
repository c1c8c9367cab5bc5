"""A table of nftables that is the toolkit's own, and stays: units set it at boot, before the
engine, and a timer brings it back when somebody has emptied nftables.
"""

from __future__ import annotations

from dataclasses import dataclass

from operations.base import files, templates

RULES = "/etc/openclaw-pyinfra"
"""The directory of the rules."""


@dataclass(frozen=True)
class Table:
    """A table by name, the file of its rules, its units' name, and what they say that it is for.

    `early`: it stands before the network does, and not only before the engine.
    """

    name: str
    rules: str
    unit: str
    about: str
    kept: str
    early: bool = False

    @property
    def state(self) -> str:
        """The file with the digest of the table as the rules made it, and of them."""
        return f"/run/{self.name}.rules"

    @property
    def timer(self) -> str:
        """The name of the timer that sets the rules again."""
        return f"{self.unit}.timer"

    @property
    def units(self) -> list[files.File]:
        """The systemd units that set the rules at boot, and again when they are gone."""
        where = f"/etc/systemd/system/{self.unit}"
        return [
            files.File(
                f"{where}.service", templates.render("network/closed.service.j2", apply=self)
            ),
            files.File(f"{where}.timer", templates.render("network/timer.service.j2", apply=self)),
        ]
