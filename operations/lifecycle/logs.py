"""The gateway's log as records: which stream, when, how bad, by whom; chosen on the host.

OpenClaw writes lines of text, on standard error what is at least a warning, or with
`logging.consoleStyle: json` an object each, which says its level (its docs/gateway/logging.md).
Docker keeps the streams apart, the journal does not.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from operations.base import templates
from operations.base.answers import AnswerError, printable
from operations.gateway import form
from toolkit.settings import Settings

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
"""OpenClaw's, from the least to the worst."""
MOST_BYTES = 8 << 20
"""Of the end of what is asked for, from each host."""
_LINE = re.compile(r"([OE-]) (\S+) ?(.*)", re.DOTALL)
_DOCKER = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_EPOCH = re.compile(r"(\d{1,11})\.(\d{1,9})")
_WARN = LEVELS.index("warn")


@dataclass(frozen=True)
class Asked:
    """What is wanted of a log: moments in seconds since 1970, an extended regular expression, the
    least level; the last `tail` lines of what is left.
    """

    tail: int
    since: float | None = None
    until: float | None = None
    pattern: str = ""
    level: str | None = None
    follow: bool = False

    @property
    def chosen(self) -> bool:
        """Whether lines are left out, so that those to be counted are not the log's own."""
        return bool(self.pattern or self.level)


@dataclass(frozen=True)
class Record:
    """A line of a log: nanoseconds since 1970, and what it says of itself; None: not known."""

    moment: int
    text: str
    stream: str = "-"
    level: str | None = None
    said: dict[str, Any] | None = field(default=None, compare=False)

    @property
    def line(self) -> str:
        """The record as people read it."""
        if self.said is None:
            return self.text
        time_, by = self.said.get("time"), self.said.get("subsystem")
        level = self.level if self.level != "info" else None
        words = [time_, level and level.upper(), f"[{by}]" if by else None, self.said["message"]]
        return " ".join(str(word) for word in words if word)

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints of it, beside the host."""
        seconds, rest = divmod(self.moment, 10**9)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        found: dict[str, Any] = {
            "time": f"{moment}.{rest // 1000:06d}Z",
            "level": self.level,
            "stream": {"O": "stdout", "E": "stderr"}.get(self.stream),
            "text": self.text,
        }
        if self.said is not None:
            known = ("time", "level", "message", "subsystem")
            found |= {"subsystem": self.said.get("subsystem"), "text": self.said["message"]}
            found["fields"] = {k: v for k, v in self.said.items() if k not in known}
        return found


def script(settings: Settings, asked: Asked, missing: str) -> str:
    """Return the shell lines that print what is asked for; `missing` where nothing is deployed."""
    filters = [*_of_level(asked.level), *_of_pattern(asked.pattern)]
    of_form = form.of(settings)
    body = templates.render(
        "lifecycle/log.sh.j2",
        lines=of_form.lines(
            settings,
            None if asked.since is None else int(asked.since),
            None if asked.until is None else int(asked.until),
            # Of what is left out, nothing counts.
            None if asked.chosen and not asked.follow else asked.tail,
            asked.follow,
        ),
        sorted=not of_form.TEMPLATE["service"],
        filters=filters,
        follow=asked.follow,
        tail=asked.tail,
        bytes=MOST_BYTES,
    )
    return f"{of_form.entered(settings, missing)}\n{body}"


def parse(answer: str) -> list[Record]:
    """Return the records of what a host printed, in its order.

    Raises:
        AnswerError: it printed something else; the message quotes it.
    """
    found = list(_records(answer))
    if not found and answer.strip():
        raise AnswerError(f"its log cannot be read: {printable(answer.removeprefix('E '))}")
    return found


def _records(answer: str) -> Iterator[Record]:
    last = 0
    for line in answer.split("\n"):
        if (one := record(line, last)) is not None:
            last = one.moment
            yield one


def record(line: str, last: int = 0) -> Record | None:
    """Return the record of a line that a host printed; None: it is none. `last`: when the one
    before was, which is when a line was that says no more of it.
    """
    if not (found := _LINE.fullmatch(line)):
        return None
    stream, moment, text = found[1], _moment(found[2], last), found[3]
    if moment is None:
        return None
    said = _said(text)
    return Record(moment, text, stream, said["level"] if said else None, said)


def keeps(one: Record, level: str | None) -> bool:
    """Return whether a record is at least of a level, as far as it can be told: text on standard
    error is a warning or worse, on standard output it is none.
    """
    if level is None:
        return True
    if one.level is not None:
        return LEVELS.index(one.level) >= LEVELS.index(level)
    return one.stream != "O" or LEVELS.index(level) < _WARN


def told(settings: Settings) -> bool:
    """Return whether the levels of a deployment's log can be told at all."""
    style = settings.gateway.log_style or _configured(settings.openclaw)
    return style == "json" or not form.of(settings).TEMPLATE["service"]


def _configured(openclaw: dict[str, Any]) -> str | None:
    logging = openclaw.get("logging")
    return logging.get("consoleStyle") if isinstance(logging, dict) else None


def _moment(word: str, last: int) -> int | None:
    if word == "0":
        return last
    if found := _EPOCH.fullmatch(word):
        return int(found[1]) * 10**9 + int(found[2].ljust(9, "0"))
    if found := _DOCKER.fullmatch(word):
        try:
            seconds = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S"))
        except ValueError:
            return None
        return seconds * 10**9 + int((found[2] or "").ljust(9, "0"))
    return None


def _said(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = isinstance(found, dict) and found.get("level") in LEVELS
    return found if known and isinstance(found.get("message"), str) else None


def _of_level(level: str | None) -> list[list[str]]:
    """Return what `grep` is told so that little is left to `keeps`, which has the last word."""
    if level is None:
        return []
    place = LEVELS.index(level)
    if place < _WARN:
        less = "|".join(LEVELS[:place])
        return [["-E", "-v", f'^[^ ]+ [^ ]+ [{{].*"level":"({less})"']] if less else []
    worse = "|".join(LEVELS[place:])
    return [["-E", f'^[E-] [^ ]+ ([^{{]|$)|"level":"({worse})"']]


def _of_pattern(pattern: str) -> list[list[str]]:
    if not pattern:
        return []
    # As `journalctl --grep` has it: in small letters alone it is of any.
    case = ["-i"] if pattern == pattern.lower() else []
    return [["-E", *case, "-e", anchored(pattern)]]


def anchored(pattern: str) -> str:
    """Return an extended regular expression whose `^` is the begin of a record's text, and which
    is about that alone.
    """
    before = "^[OE-] [^ ]+ "
    parts = re.findall(r"\\.|\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^\]])*\]|.", pattern, re.DOTALL)
    if not any(part == "^" for part in parts):
        # Without need no group: it would be the first one to those who refer to theirs.
        return f"{before}.*({pattern})" if "|" in parts else f"{before}.*{pattern}"
    return "".join(before if part == "^" else part for part in parts)
