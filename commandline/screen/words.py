"""Numbers as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as people say it: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def count(number: int, what: str, plural: str = "s") -> str:
    """Return a number of things: `1 host`, `3 hosts`."""
    return f"{number} {what}{'' if number == 1 else plural}"
