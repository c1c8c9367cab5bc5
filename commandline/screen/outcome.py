"""What is said at the end of a run of all its hosts: a table, and what answers to this machine."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from commandline.results import HostResult, RunResult
from commandline.run import outside
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


def outside_line(hosts: Mapping[str, HostResult]) -> tuple[str, str]:
    """Return what was seen from outside of the hosts that were changed and have not failed, and the
    line's style; '' if none was looked at.
    """
    seen = {name: own.outside for name, own in hosts.items() if own.outside and not own.failed}
    fine = [name for name, checks in seen.items() if outside.plain(checks)]
    known = all(one.outcome == "ok" for checks in seen.values() for one in checks)
    style = "green" if known else "yellow"
    said = {name: outside.sentence(checks) for name, checks in seen.items()}
    if len(hosts) == 1:
        return "".join(said.values()), style
    words = [f"{', '.join(fine)}: open, as wanted"] if fine else []
    return "; ".join(
        [*words, *(f"{name}: {said[name]}" for name in said if name not in fine)]
    ), style
