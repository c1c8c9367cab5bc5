"""What operations, and who looks at a host, leave of it for the report of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from pyinfra.api.host import Host

from operations.base.check import Check

_KEY = "openclaw_notes"


@dataclass(frozen=True)
class Change:
    """A setting by dotted key, its value at the last deploy and now; None: it was not there."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class StaleSandbox:
    """A sandbox that was left although it is out of date, because it is in use."""

    name: str
    agent: str
    reasons: tuple[str, ...]


@dataclass
class Notes:
    """One host's part; every stage writes its own fields.

    `begun`: an operation has begun. `settings`: those that differ from the last deploy. `form`: in
    which the gateway reaches its engine, and why; `warnings`: of what that lets it do; `apparmor`:
    what protects where that form cannot use the kernel's. `changed`: why what the gateway runs or
    reads was changed; `replaced`: the image that ran before, where another one took its place.
    `checks`: what the verification saw; `proved`: the proof of the sandboxes that is on record.
    `forwards`: whether sshd forwards to the gateway. `plan`: what the plan says beside the names of
    operations; `outcome`: what they say they did. `forgotten`: the log of the deployment went with
    it.
    """

    begun: bool = False
    settings: list[Change] = field(default_factory=list)
    form: str | None = None
    warnings: tuple[str, ...] = ()
    apparmor: str | None = None
    changed: list[str] = field(default_factory=list)
    replaced: str = ""
    stale: list[StaleSandbox] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    proved: Check | None = None
    forwards: bool = True
    plan: list[str] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)
    forgotten: bool = False


def of(host: Host) -> Notes:
    """Return the notes of a host, in this run."""
    return cast(Notes, host.connector_data.setdefault(_KEY, Notes()))
