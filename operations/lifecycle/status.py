"""What a host says of a deployment: a typed answer, which `looking` makes."""

from __future__ import annotations

from dataclasses import dataclass

from operations.base.preflight import Problem
from operations.watch.question import DAY, HOUR


@dataclass(frozen=True)
class Backups:
    """When the newest backup and drill were made, in seconds ago (None: never), and how the last
    attempts ended where they failed."""

    made: int | None = None
    drilled: int | None = None
    failed: str = ""
    drill_failed: str = ""


@dataclass(frozen=True)
class Pulled:
    """How the last run of pull mode ended, in a word of docs/pull.md and its own text, and how many
    seconds ago; None: there was none yet."""

    state: str | None = None
    message: str = ""
    ran: int | None = None


@dataclass(frozen=True)
class Watch:
    """What looks after the gateway on the host, in words of docs/watch.md: what it has seen last
    (None: it has not looked yet), what it finds wrong of it ('': nothing), how often it has
    restarted it since that was ready for an hour, and what it has told as trouble, such as
    ("disk", "full")."""

    seen: str | None = None
    wrong: str = ""
    restarts: int = 0
    told: tuple[tuple[str, str], ...] = ()

    @property
    def gave_up(self) -> bool:
        """Whether it restarts the gateway no more."""
        return self.wrong == "given-up"

    def __str__(self) -> str:
        if self.gave_up:
            return "gave up"
        times = f", restarted {self.restarts}x" if self.restarts else ""
        return f"{self.wrong or self.seen or 'no look yet'}{times}"


@dataclass(frozen=True)
class Status:
    """What a host says; None where it has or knows nothing of it."""

    deployment: str
    deployed: bool = False
    engine: str | None = None
    compose: str | None = None
    openclaw: str | None = None
    state: str | None = None
    stopped_on_purpose: str | None = None
    health: str | None = None
    started: str = ""
    up_seconds: int | None = None
    restarts: int = 0
    image: str | None = None
    image_digest: str | None = None
    image_inputs: str | None = None
    ports: tuple[str, ...] = ()
    ready: bool | None = None
    newer_release: str | None = None
    backups: Backups | None = None
    pull: Pulled | None = None
    watch: Watch | None = None
    timers_missing: tuple[str, ...] = ()
    disk_free: int | None = None
    reboot_required: bool = False
    security_updates: int | None = None
    attention: tuple[Problem, ...] = ()
    drift: tuple[Problem, ...] = ()
    """What of it is not as the last deploy left it, or waits for the next one."""


def age(seconds: int) -> str:
    """Return an age in one unit: `12 min`, `3 h`, `5 d`."""
    for unit, length in (("d", DAY), ("h", HOUR), ("min", 60)):
        if seconds >= length * (2 if unit != "min" else 1):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
