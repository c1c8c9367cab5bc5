"""What is shown while something goes on, in plain lines; `live_display` has a terminal's."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console

from commandline.screen.fleet import HostLine
from commandline.screen.given import Given
from commandline.screen.words import duration
from toolkit import greenlets
from toolkit.terminal import plain, said

TAIL_LINES = 30
HEARTBEAT_SECONDS = 15
REFRESH_SECONDS = 0.125
ANNOUNCE_AFTER_SECONDS = 1.0
DIFFERENCES = {"+": "green", "-": "red", "@": "cyan"}
"""The styles of a difference's lines, by their first character."""
MOST_NAMED = 5
"""Hosts that a line names; the others are counted."""
_BUILD_STEP = re.compile(r"#(\d+) (\[.+\] .+)$")
_STEP_ENDED = re.compile(r"#(\d+) (?:DONE|CACHED|ERROR|CANCELED)\b")


@dataclass
class Running:
    """An operation (or a phase of the run) in progress on a host."""

    name: str
    started: float = field(default_factory=time.monotonic)
    last_line: str = ""
    step: dict[str, str] = field(default_factory=dict)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    steps: set[str] = field(default_factory=set)
    announced: bool = False
    heartbeats: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def doing(self) -> str:
        """What it is at: the newest step of a build that goes on, or its last line."""
        return next(reversed(self.step.values()), self.last_line)

    def said(self, line: str) -> None:
        """Note a line of its output."""
        self.last_line = line
        self.tail.append(line)
        if begun := _BUILD_STEP.match(line):
            self.step.setdefault(begun[1], begun[2])
        elif ended := _STEP_ENDED.match(line):
            self.step.pop(ended[1], None)


def clean(line: str) -> str:
    """Return the last state of a line of terminal output, without control sequences."""
    return plain(line.rstrip("\r\n").rpartition("\r")[2]).rstrip()


class Display:
    """Shows plain lines; `live_display.LiveDisplay` adds what only a terminal can do.

    Args:
        console: where to.
        verbosity: 0 to 3, as pyinfra's `-v`: its notes, its commands, their output; below 0
            nothing of what goes well.
        announce_after: seconds before something that goes on is shown.
        redactions: texts never shown (the toolkit's own markers in commands).
        awaited: the hosts that a phase still waits for; None: it is about none.
        waits: returns what a host is waited for, '' where that is not known.
    """

    def __init__(
        self,
        console: Console,
        verbosity: int = 0,
        announce_after: float = ANNOUNCE_AFTER_SECONDS,
    ) -> None:
        self.console = console
        self.verbosity = verbosity
        self.announce_after = announce_after
        self.awaited: dict[str, None] | None = None
        self.waits: Callable[[str], str] = lambda host: ""
        self.redactions: list[str] = []
        self.hosts: list[str] = []
        self.longest = 0
        self.running: dict[str, Running] = {}
        self.fleet: dict[str, HostLine] = {}
        self._ticker: greenlets.Greenlet | None = None

    def __enter__(self) -> Display:
        self._ticker = greenlets.spawn(self._tick)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._ticker:
            self._ticker.kill()

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        self.console.print(said(text, style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line about what is not as it should be, and stops nothing."""
        self.say(text, "yellow")

    def for_host(self, host: str, text: str, style: str = "") -> None:
        """Print a line about a host, named when there are several."""
        text = text.replace("\n", "\n    ")
        self.say(f"[{host}] {text}" if host and len(self.hosts) > 1 else text, style)

    def split(self, line: str) -> tuple[str, str]:
        """Split a line of pyinfra's into the host and the text, as `split_prefix`."""
        return split_prefix(line, self.hosts, self.longest)

    def expect(self, hosts: list[str]) -> None:
        """These hosts will be changed; each has a line of its own if there are several."""
        if len(self.hosts) > 1:
            self.fleet = {host: HostLine() for host in hosts}

    def finish(self, host: str, text: str, failed: bool) -> None:
        """A host needs nothing more; `text` says what became of it."""
        if line := self.fleet.get(host):
            line.finish(text, failed)
            self._finished(host, line)

    def progress(self, text: str, style: str = "", host: str = "") -> None:
        """Print a line about something that goes well, unless nobody wants to hear of it."""
        if self.verbosity >= 0:
            self.for_host(host, text, style)

    def begin(self, host: str, name: str) -> None:
        """An operation starts on a host."""
        self.running[host] = Running(name)
        if line := self.fleet.get(host):
            line.begin(name)

    def output(self, host: str, line: str, shown: bool = False) -> None:
        """A running operation wrote a line; `shown`: print it whatever the verbosity."""
        for redaction in self.redactions:
            line = line.replace(redaction, "")
        line = clean(line)
        current = self.running.get(host)
        if current and not line.startswith(">>> "):
            current.said(line)
        if shown or self.verbosity >= 3 or line.startswith(">>> "):
            self.for_host(host, f"    {line}", "dim")
        elif current:
            self._build_step(host, current, line)

    def end(self, host: str, changed: bool, failed: bool = False) -> list[str]:
        """The operation of a host has ended; return the tail of its output."""
        current = self.running.pop(host, None)
        self._changed()
        if not current:
            return []
        if failed:
            self.for_host(host, f"✗ {current.name} ({duration(current.seconds)})", "bold red")
        elif changed and not self._moving(host):
            self.progress(f"✓ {current.name} ({duration(current.seconds)})", "green", host)
        elif (current.announced and not self._moving(host)) or self.verbosity > 0:
            self.progress(f"= {current.name} ({duration(current.seconds)})", "dim", host)
        return list(current.tail)

    def _moving(self, host: str) -> bool:
        """Whether what ends well on a host need not be printed, as a line for it moves."""
        return False

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Show a phase of the whole run as one running line."""
        self.begin("", name)
        try:
            yield
        finally:
            self.running.pop("", None)
            self._changed()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        yield

    def _changed(self) -> None:
        """Something ended."""

    def _finished(self, host: str, line: HostLine) -> None:
        seconds = line.elapsed()
        if line.mark == "✓" and seconds is not None:  # what failed has its line already
            self.progress(f"{line.mark} {line.text} ({duration(seconds)})", "bold", host)

    def _build_step(self, host: str, current: Running, line: str) -> None:
        step = _BUILD_STEP.match(line)
        if step and step[1] not in current.steps:
            current.steps.add(step[1])
            self._announce(host, current)
            self.progress(f"    {line}", "dim", host)

    def _announce(self, host: str, current: Running) -> None:
        if not current.announced:
            current.announced = True
            awaited = "" if host else self._awaited()
            self.progress(f"… {current.name}{awaited and f': {awaited}'}", host=host)

    def _awaited(self) -> str:
        """Return which hosts the phase waits for; first those of which it is known for what."""
        names = sorted(self.awaited or (), key=lambda name: not self.waits(name))
        words = [f"{name}{(what := self.waits(name)) and f' ({what})'}" for name in names]
        more = [f"{len(words) - MOST_NAMED} more"] if len(words) > MOST_NAMED else []
        return ", ".join([*words[:MOST_NAMED], *more])

    def _doing(self, host: str, current: Running) -> str:
        """Return what something that goes on is waiting for."""
        return (self.waits(host) or current.doing) if host else self._awaited()

    def _tick(self) -> None:
        while True:
            greenlets.sleep(REFRESH_SECONDS)
            self._refresh()

    def _refresh(self) -> None:
        for host, current in list(self.running.items()):
            if not host and self.awaited == {}:
                continue  # all have answered, and what they say is shown
            if current.seconds >= self.announce_after:
                self._announce(host, current)
            if current.seconds >= HEARTBEAT_SECONDS * (current.heartbeats + 1):
                current.heartbeats += 1
                elapsed = HEARTBEAT_SECONDS * current.heartbeats
                where = f" on {host}" if host and len(self.hosts) == 1 else ""
                doing = self._doing(host, current) or current.name
                self.progress(f"    still running, {elapsed} s{where}: {doing}", "dim", host)


class LogHandler(logging.Handler):
    """pyinfra's log lines: warnings and differences always, its notes with `-v`, errors into the
    failure report.
    """

    def __init__(self, display: Display, given: Given) -> None:
        super().__init__(logging.DEBUG)
        self.display, self.given = display, given

    def emit(self, record: logging.LogRecord) -> None:
        host, text = self.display.split(record.getMessage())
        if text.startswith("Error: executed "):  # pyinfra's count of commands tells nobody anything
            return
        say = partial(self.display.for_host, host) if host else self.display.say
        if record.levelno >= logging.ERROR and host in self.display.running:
            self.display.output(host, text)
        elif record.levelno >= logging.WARNING:
            say(self.given.completed(text, host or None), "yellow")
        elif record.levelno >= logging.INFO and record.name == "pyinfra.differences":
            say(text, DIFFERENCES.get(text[:1], "dim"))
        elif record.levelno >= logging.INFO and self.display.verbosity > 0:
            say(text, "dim")


def split_prefix(line: str, hosts: list[str], longest: int = 0) -> tuple[str, str]:
    """Split pyinfra's `[host] text` into the host ('' when there is none) and the text.

    pyinfra pads the names to the `longest` of the inventory; what is more is the text's own.
    """
    if line.startswith("["):
        name, bracket, text = line[1:].partition("]")
        if bracket and name in hosts:  # IPv6 addresses are names too
            text = text.removeprefix(" nested")
            padding = max(0, longest - len(name)) + 1
            return name, text[:padding].lstrip(" ") + text[padding:]
    return "", line
