"""Moments as people type them: `--since 2h`, `--until 2026-11-30T06:00`."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import Any

import click

SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(rf"(\d{{1,6}}) ?({'|'.join(SECONDS)})(?: ago)?")
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
ACCEPTED = "accepted: 90s, 15min, 2h, 3d, or 2026-11-30T06:00, which is UTC (or ...+01:00)"


class Moment(click.ParamType):
    """A moment, as seconds since 1970: how long ago, or a date and time of ISO 8601."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the moment; fails with one line that says what was given and what is accepted."""
        if isinstance(value, float):
            return value
        if found := _AGO.fullmatch(value.strip()):
            return time.time() - int(found[1]) * SECONDS[found[2]]
        if found := _ISO.fullmatch(value.strip()):
            try:
                moment = datetime.fromisoformat(_of_python_3_10(value.strip()))
            except ValueError as error:
                self.fail(f"{value!r}: {error}; {ACCEPTED}", param, ctx)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
            return moment.timestamp()
        self.fail(f"{value!r} is no moment; {ACCEPTED}", param, ctx)


def _of_python_3_10(text: str) -> str:
    """Return a moment as `datetime.fromisoformat` of Python 3.10 takes it."""
    text = text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else "")
    return re.sub(r"\.(\d+)", lambda found: f".{found[1].ljust(6, '0')}", text)
