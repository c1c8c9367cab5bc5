"""The settings that a host was last deployed with, as its file has them (`operations.record`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from shlex import quote
from typing import Any

from operations.base import snapshot
from toolkit.settings import Settings
from toolkit.settings.sources.resolve import leaves

MAX_BYTES = 256 * 1024
GONE = (("images", "registry", "local"),)
"""Settings that earlier releases of the toolkit had, and so may have recorded."""


@snapshot.fact("settings")
@dataclass(frozen=True)
class Recorded:
    """The settings that the file of a host holds; none if it is absent or unreadable."""

    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The values by their dotted path."""
        return flat(self.settings)

    @staticmethod
    def script(settings: Settings) -> str:
        return f"[ ! -f {quote(path(settings))} ] || head -c {MAX_BYTES} {quote(path(settings))}"

    @classmethod
    def parse(cls, lines: list[str]) -> Recorded:
        try:
            found = json.loads("\n".join(lines) or "{}")
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(found, dict):
            return cls()
        for *above, name in GONE:
            section: Any = found
            for part in above:
                section = section.get(part) if isinstance(section, dict) else None
            if isinstance(section, dict):
                section.pop(name, None)
        return cls(found)


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings as values by their dotted path."""
    return {".".join(path): value for path, value in leaves(settings)}


def path(settings: Settings) -> str:
    return f"{settings.project_directory}/settings.json"
