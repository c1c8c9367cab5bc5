"""The settings of upgrades, and the releases that one must know of before."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toolkit.settings.section import Section
from toolkit.settings.types import NOT_A_BOOLEAN, Unit, Version

BREAKING = {
    "2026.7.2": "sessions and transcripts move into SQLite: no release before can read them",
}
"""What a release takes away for good, by release (docs of OpenClaw: reference/database-schemas)."""


class Upgrade(Section):
    """From one release of OpenClaw to a later one (docs/day-two.md)."""

    acknowledged: Version | None = None
    """The release whose breaking change is known and wanted; an upgrade across one says which."""
    keep_generations: Annotated[int, Field(ge=1, le=20), NOT_A_BOOLEAN, Unit("generations")] = 3
    """What is kept to go back to: image, files, and the state that another image left. The last one
    with another image is kept beyond that."""
