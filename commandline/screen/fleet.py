"""The moving part of the terminal during a run on several hosts: a line for each of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from commandline.screen.words import duration
from toolkit.terminal import said

STYLES = {"✓": "green", "✗": "bold red", "·": "dim"}
ORDER = {"": 0, "✗": 1, "·": 2, "✓": 3}
"""What is shown first when the terminal is too low for all hosts: what runs, then what failed."""


@dataclass
class HostLine:
    """What is known of a host's part in the run; `mark` is empty while it runs."""

    text: str = "waiting"
    mark: str = "·"
    started: float | None = None
    seconds: float | None = None

    def begin(self, operation: str) -> None:
        self.mark, self.text = "", operation
        self.started = self.started or time.monotonic()

    def finish(self, text: str, failed: bool) -> None:
        self.mark, self.text = "✗" if failed else "✓", text
        self.seconds = time.monotonic() - self.started if self.started else None

    def elapsed(self) -> float | None:
        """Return the seconds since its first operation, or those that all of them took."""
        if self.seconds is not None or self.started is None:
            return self.seconds
        return time.monotonic() - self.started


def table(
    lines: Mapping[str, HostLine], spinner: RenderableType, width: int, height: int
) -> RenderableType:
    """Return the lines, as many as fit in `height`; those left out are counted in the last one."""
    grid = Table.grid(padding=(0, 1))
    for _ in range(2):
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(20, width - 40))
    grid.add_column(no_wrap=True, justify="right")
    room = max(1, height - 1)
    names = list(lines)
    if len(names) > room:
        names = sorted(names, key=lambda name: ORDER[lines[name].mark])[: room - 1]
    for name in names:
        line = lines[name]
        seconds = line.elapsed()
        style = STYLES.get(line.mark, "")
        grid.add_row(
            Text(line.mark, style) if line.mark else spinner,
            said(name, style),
            said(line.text, style),
            Text("" if seconds is None else duration(seconds), "dim"),
        )
    rest = Counter(line.mark for name, line in lines.items() if name not in names)
    words = {"": "running", "✗": "failed", "·": "waiting", "✓": "done"}
    counted = [f"{rest[mark]} {word}" for mark, word in words.items() if rest[mark]]
    if counted:
        grid.add_row("", Text("and", "dim"), Text(", ".join(counted), "dim"), "")
    return grid
