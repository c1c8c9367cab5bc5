"""Work below a directory that somebody else owns, done as whoever owns it.

He can put a link, a FIFO or anything else there at any moment: what root opens, changes or creates
in such a place, he chooses. The functions that hosts have for it are in `templates/host/owner.sh`;
they want a directory whose parents are root's, which `operations.gateway.directories` sees to.
"""

from __future__ import annotations

from shlex import join, quote

from operations.base import templates
from operations.base.quoting import Script

SECONDS = 60


def shell() -> Script:
    """Return shell that defines `as_owner` and `read_foreign`."""
    return templates.render("host/owner.sh")


def command(directory: str, *words: str, seconds: int = SECONDS) -> str:
    """Return a command for a script that begins with `shell()`: `words` is run in `directory` as
    its owner.
    """
    return f"as_owner {seconds} {quote(directory)} {join(words)}"
