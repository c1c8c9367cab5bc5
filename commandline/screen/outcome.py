"""The table at the end of a run on several hosts."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from commandline.results import HostResult, RunResult
from commandline.screen.words import duration
from toolkit.terminal import said

STYLES = {
    "failed": "bold red",
    "not attempted": "yellow",
    "pending": "yellow",
    "changed": "green",
    "unchanged": "dim",
}


def outcome_table(result: RunResult) -> Table:
    """Return a row for each host: what became of it, and its gateway when it was last seen."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Host", "Result", "Changed", "Time", "Version", "Health"):
        right = column in ("Changed", "Time")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for name, host in result.hosts.items():
        table.add_row(said(name), *_cells(host))
    return table


def _cells(host: HostResult) -> list[Text]:
    health = "green" if host.health == "ready" else "yellow"
    return [
        said(host.state, STYLES.get(host.state, "yellow")),
        said(len(host.changed) or ""),
        said(duration(host.seconds) if host.operations else ""),
        said(host.version),
        said(host.health, health),
    ]
