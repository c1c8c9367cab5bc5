"""What a terminal shows while something goes on: lines that move, below what is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from commandline.screen.display import Display, Running
from commandline.screen.fleet import HostLine, table
from commandline.screen.words import duration
from toolkit.terminal import said


class LiveDisplay(Display):
    """Lines of what is done, and below them what runs on each host, moving."""

    def __enter__(self) -> LiveDisplay:
        self._spinner = Spinner("dots" if self.console.encoding.startswith("utf") else "line")
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._live.start()
        super().__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._live.stop()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _changed(self) -> None:
        self._live.update(self._view())

    def _announce(self, host: str, current: Running) -> None:
        current.announced = True  # the moving part shows it

    def _moving(self, host: str) -> bool:
        return host in self.fleet and self.verbosity <= 0

    def _finished(self, host: str, line: HostLine) -> None:
        """The moving part shows it, and the table at the end."""

    def _build_step(self, host: str, current: Running, line: str) -> None:
        """The moving part shows it."""

    def _refresh(self) -> None:
        if self._live.is_started:
            self._live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        rows: list[RenderableType] = []
        if self.fleet:
            width, height = self.console.size
            rows.append(table(self.fleet, self._spinner, width, height))
        for host, current in self.running.items():
            if host in self.fleet or current.seconds < self.announce_after:
                continue
            label = f"[{host}] {current.name}" if host and len(self.hosts) > 1 else current.name
            grid = Table.grid(padding=(0, 1))
            grid.add_row(self._spinner, said(f"{label}  {duration(current.seconds)}", no_wrap=True))
            rows.append(grid)
            if doing := self._doing(host, current):
                width = max(10, self.console.width - 6)
                rows.append(said(f"    {doing[:width]}", "dim", no_wrap=True))
        return Group(*rows)
