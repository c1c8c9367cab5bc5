"""Lab hosts that are an Ubuntu in what the toolkit looks at, and a Debian in all else."""

from __future__ import annotations

from dataclasses import dataclass

DEBIAN = ("bookworm", "trixie")


@dataclass(frozen=True)
class StandIn:
    """An Ubuntu by its number, and the Debian release whose files it has."""

    number: str
    debian: str


STAND_INS = {
    "jammy": StandIn("22.04", "bookworm"),
    "noble": StandIn("24.04", "trixie"),
    "resolute": StandIn("26.04", "trixie"),
}
SUITES = (*DEBIAN, *STAND_INS)


def debian(suite: str) -> str:
    """Return the Debian release whose files a host of that suite has."""
    return STAND_INS[suite].debian if suite in STAND_INS else suite


def title(suite: str) -> str:
    """Return what a host of that suite is, for people."""
    if suite in STAND_INS:
        return f"Ubuntu {STAND_INS[suite].number}, a stand-in of Debian {STAND_INS[suite].debian}"
    return f"Debian {suite}"
