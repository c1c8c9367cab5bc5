"""What a run found and did, as data: for the report, for `--json`, and for the exit code."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from operations.base.check import Check

DONE, FAILED, PENDING, INTERRUPTED = 0, 1, 2, 130


def split_name(name: str) -> tuple[str, str]:
    """Split pyinfra's `Stage | Operation` into the stage (the `@deploy`) and the operation."""
    stage, separator, operation = name.partition(" | ")
    return (stage, operation) if separator else ("", name)


@dataclass
class OperationResult:
    """One operation on one host, after it ran; `started` is seconds after the run did."""

    name: str
    seconds: float
    changed: bool
    started: float = 0.0
    failed: bool = False


@dataclass(frozen=True)
class Mark:
    """What a host spent time with beside operations: `Connect`, `Check`, `Lock`."""

    name: str
    started: float
    seconds: float


@dataclass
class HostResult:
    """One host's part of a run.

    `planned` holds the names of operations that would change it, `checks` what the verification
    saw, `left_out` why it was not attempted although it should have been; `settings` are those that
    differ from the last deploy (`key`, `from`, `to`); `version` and `health` are those of its
    gateway when it was last looked at; `notes` is what the plan says beside names of operations,
    `outcome` what the operations say of what they did, `outside` what answers to this machine
    afterwards.
    """

    planned: list[str] = field(default_factory=list)
    operations: list[OperationResult] = field(default_factory=list)
    failed: str | None = None
    left_out: str | None = None
    settings: list[dict[str, Any]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    version: str = ""
    health: str = ""
    output: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    checks: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)
    outside: list[Check] = field(default_factory=list)

    @property
    def changed(self) -> list[str]:
        return [operation.name for operation in self.operations if operation.changed]

    @property
    def seconds(self) -> float:
        """How long its operations took."""
        return sum(operation.seconds for operation in self.operations)

    @property
    def state(self) -> str:
        """`failed`, `not attempted`, `changed`, `pending` (only planned) or `unchanged`."""
        if self.failed:
            return "failed"
        if self.left_out:
            return "not attempted"
        if self.changed:
            return "changed"
        return "pending" if self.planned and not self.operations else "unchanged"


@dataclass
class RunResult:
    """A whole run. `error` is what went wrong beyond single hosts."""

    dry: bool = False
    hosts: dict[str, HostResult] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    declined: bool = False
    interrupted: list[str] | None = None
    batches: list[list[str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    timeline: str | None = None

    def clock(self, moment: float) -> float:
        """Return the seconds from the start of the run to a moment of the monotonic clock."""
        return moment - self.started

    def mark(self, name: str, took: dict[str, tuple[float, float]]) -> None:
        """Note what hosts spent time with: by name, when that began and how long it took."""
        for host, (moment, seconds) in took.items():
            self.hosts[host].marks.append(Mark(name, self.clock(moment), seconds))

    @property
    def untouched(self) -> bool:
        """Whether no operation ran on any host."""
        return not any(host.operations for host in self.hosts.values())

    @property
    def unfinished(self) -> list[str]:
        """The hosts that `--limit @failed` means after this run."""
        return [name for name, host in self.hosts.items() if host.failed or host.left_out]

    @property
    def exit_code(self) -> int:
        """0 nothing to do or done, 1 failed, 2 (`--dry`) changes pending, 130 interrupted."""
        if self.interrupted is not None:
            return INTERRUPTED
        if self.error or self.declined or self.unfinished:
            return FAILED
        if self.dry and any(host.planned for host in self.hosts.values()):
            return PENDING
        return DONE

    def stages(self) -> list[dict[str, Any]]:
        """Return seconds and changed operations of every stage on every host, in order."""
        totals: dict[tuple[str, str], dict[str, Any]] = {}
        for host, result in self.hosts.items():
            for operation in result.operations:
                stage, _ = split_name(operation.name)
                empty = {"name": stage, "host": host, "seconds": 0.0, "operations": 0, "changed": 0}
                entry = totals.setdefault((host, stage), empty)
                entry["seconds"] = round(entry["seconds"] + operation.seconds, 3)
                entry["operations"] += 1
                entry["changed"] += operation.changed
        return list(totals.values())

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        document: dict[str, Any] = {
            "changed": any(host.changed for host in self.hosts.values()),
            "exit_code": self.exit_code,
            "error": self.error,
            "interrupted": self.interrupted,
            "hosts": {
                name: {
                    "state": host.state,
                    "changed": host.changed,
                    "unchanged": sum(not operation.changed for operation in host.operations),
                    "failed": host.failed,
                    "not_attempted": host.left_out,
                    "seconds": round(host.seconds, 3),
                    "version": host.version,
                    "health": host.health,
                    "settings": host.settings,
                    "output": host.output,
                    "problems": host.problems,
                    "checks": host.checks,
                    "notes": host.notes,
                    "outcome": host.outcome,
                    "outside": [asdict(check) for check in host.outside],
                    "operations": [asdict(operation) for operation in host.operations],
                }
                for name, host in self.hosts.items()
            },
            "batches": self.batches,
            "timeline": self.timeline,
            "stages": self.stages(),
            "phases": {name: round(seconds, 3) for name, seconds in self.phases.items()},
        }
        if self.dry:
            document["plan"] = {name: host.planned for name, host in self.hosts.items()}
        return document
