"""The settings of pull mode."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toolkit.settings.backup import Schedule
from toolkit.settings.section import Section
from toolkit.settings.types import NOT_A_BOOLEAN, Unit

Minutes = Annotated[int, Field(ge=0, le=10080), NOT_A_BOOLEAN, Unit("minutes")]


class Pull(Section):
    """A host that brings itself to a signed git ref (docs/pull.md); `./claw enroll` reads these."""

    ring: Annotated[int, Field(ge=0, le=99), NOT_A_BOOLEAN] | None = None
    """The host takes a new commit only when every enrolled host of the rings before reports it
    healthy; 0 goes first. None: it goes at once, and reports nothing."""
    soak: Minutes = 60
    """For how long the rings before must report a commit healthy."""
    schedule: Schedule = "*:0/15"
    """When the host looks, as systemd's OnCalendar= has it."""
    delay: Minutes = 10
    """Up to how much later it looks, at random, so that a fleet does not all at once."""
