"""The last runs on a host, by the log that each leaves there (docs/rollout.md), with its status."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyinfra.api.host import Host

from operations.base import snapshot, templates
from operations.base.answers import printable
from operations.lifecycle import looking
from operations.lifecycle.status import Status
from operations.watch import question
from toolkit import patterns
from toolkit.settings import Settings, settings_for

LAST = 10
RESULTS = ("done", "failed", "interrupted")
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@dataclass(frozen=True)
class Run:
    """A run that changed a host or failed there; `run` is the same for all hosts of one."""

    run: str
    time: str
    result: str
    owner: str
    target: str
    changed: int
    failed: tuple[str, ...]
    seconds: float
    openclaw: str


@dataclass(frozen=True)
class Looked:
    """What a host says of itself and of the last runs there, the latest one first."""

    status: Status
    runs: tuple[Run, ...]


def look(host: Host) -> Looked:
    """Return what runs on a host, what wants attention there, and the last runs: one round trip.

    Raises:
        PyinfraError: it did not answer.
    """
    settings = settings_for(host)
    answer = snapshot.run_quietly(host, f"{script(settings)}\n{question.script(settings)}")
    return Looked(looking.parse(settings, answer), parse(answer))


def script(settings: Settings) -> str:
    """Return the shell lines that say the end of the log, before those of the status."""
    return templates.render(
        "lifecycle/runs.sh.j2", log=f"/var/log/{settings.name}-deploy.log", last=LAST
    )


def parse(answer: str) -> tuple[Run, ...]:
    """Return the runs of a host's answer; a line that is not of the log's form is left out."""
    said = dict(line.partition("=")[::2] for line in answer.splitlines())
    try:
        lines = base64.b64decode(said.get("runs", ""), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ()
    return tuple(reversed(list(_runs(lines))))[:LAST]


def _runs(lines: str) -> Iterator[Run]:
    for line in lines.split("\n"):
        try:
            found = json.loads(line)
            yield _run(found)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            continue


def _run(found: dict[str, Any]) -> Run:
    if not patterns.matches(_MOMENT, found["time"]) or found["result"] not in RESULTS:
        raise ValueError("no line of the log")
    return Run(
        run=_text(found["run"], 60),
        time=found["time"],
        result=found["result"],
        owner=_text(found["owner"], 100),
        target=_text(found["target"], 200),
        changed=len(found["changed"]),
        failed=tuple(_text(name, 200) for name in found["failed"][:5]),
        seconds=min(max(float(found["seconds"]), 0.0), 1e6),
        openclaw=_text(found["versions"]["openclaw"], 40),
    )


def _text(value: object, length: int) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return printable(value, length)
