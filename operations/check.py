"""One thing that was looked at on a host, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `detail` is a sentence for the summary, without secrets.

    Checks of a `group`, such as one sandbox's, are counted together in a summary; `configured` and
    `found` are for a table.
    """

    name: str
    outcome: Outcome
    detail: str = ""
    group: str = ""
    configured: str = ""
    found: str = ""

    @property
    def label(self) -> str:
        return f"{self.group}: {self.name}" if self.group else self.name
