"""The tables that verbs and runs print."""

from __future__ import annotations

import sys

from rich.table import Table
from rich.text import Text

from toolkit.terminal import Screen, said

Cell = Text
"""As `said` makes it."""


def screen(columns: int) -> Screen:
    """Return standard output; `columns` wide where it is no terminal, that nothing is folded."""
    return Screen(width=None if sys.stdout.isatty() else columns)


def plain(*columns: str | Text, host: str | None = None) -> Table:
    """Return a table without lines, for the host that it is about, if it is about one."""
    result = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        title=None if host is None else said(host),
        title_justify="left",
    )
    for column in columns:
        result.add_column(column, overflow="fold")
    return result
