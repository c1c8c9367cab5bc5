"""What runs of a deployment, and what on its host wants attention: one round trip, nothing changed.

All is told from the host's own files and apt's own lists; which releases there are, from the locks
on the control machine. What `up --dry` knows beyond that it alone knows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from pyinfra.api.host import Host

from operations import activation, record, recorded, upgrade
from operations.base import snapshot
from operations.base.answers import ANSWER_SECONDS, printable
from operations.base.preflight import Problem
from operations.system import UPDATE_SPACE
from operations.watch import question
from operations.watch.question import DAY, HOUR
from toolkit import patterns
from toolkit.settings import Settings, settings_for
from toolkit.settings.types import memory_bytes

LISTS_DAYS = 14
"""From this age on apt's lists do not tell what waits."""
DRIFT = {
    "candidate": activation.SWAP_INTERRUPTED,
    "rotating": Problem("a rotation was interrupted", "./claw rotate finishes it"),
    "restoring": Problem("a restore was interrupted", "./claw up puts back what was there"),
    "adopting": Problem("an adoption was interrupted", "./claw adopt undoes or finishes it"),
    "label": Problem(
        "the gateway was not started from the files that are there", "./claw up starts it anew"
    ),
    "image": Problem("another image waits to be run", "./claw up runs it"),
    "limits": Problem(
        "the limits of the gateway's container were changed by hand",
        "docker update sets them; ./claw verify names them",
    ),
    "rules": Problem(
        "the firewall's table is gone, or not what was set", "./claw up sets it again"
    ),
    "host-rules": Problem(
        "host.firewall: the host's own table is gone, or not what was set",
        "./claw up sets it again",
    ),
    "tailnet": Problem(
        "the host's name in the tailnet is not answered by https",
        "./claw up has it served again, or says why not",
    ),
    "https": Problem(
        "the domain is not answered by https, or its certificate has ended",
        "./claw up has it served again, or says why not",
    ),
}
"""What is not as the last deploy left it, by the word that the host says."""


@dataclass(frozen=True)
class Backups:
    """When the newest backup and drill were made, in seconds ago (None: never), and how the last
    attempts ended where they failed."""

    made: int | None = None
    drilled: int | None = None
    failed: str = ""
    drill_failed: str = ""


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
    pull: str | None = None
    disk_free: int | None = None
    reboot_required: bool = False
    security_updates: int | None = None
    attention: tuple[Problem, ...] = ()
    drift: tuple[Problem, ...] = ()
    """What of it is not as the last deploy left it, or waits for the next one."""


def look(host: Host, seconds: float = ANSWER_SECONDS) -> Status:
    """Return what runs on a host, and what wants attention there; it has so long to answer.

    Raises:
        PyinfraError: it did not answer.
    """
    settings = settings_for(host)
    return parse(settings, snapshot.run_quietly(host, question.script(settings), seconds))


def parse(settings: Settings, answer: str) -> Status:
    """Return what a host's answer means; what is not of its form counts as not said."""
    lines = [line.partition("=")[::2] for line in answer.splitlines()]
    said, drift = dict(lines), [value for key, value in lines if key == "drift"]
    now, digests = _number(said.get("now")) or 0, json.loads(said.get("digests") or "null") or []
    running = _given(said.get("package")) or _given(said.get("version"))
    found = Status(
        deployment=settings.name,
        deployed=said.get("deployed") == "yes",
        engine=said.get("engine") or None,
        compose=said.get("compose") or None,
        openclaw=running,
        state=said.get("state"),
        stopped_on_purpose=activation.moment(said.get("stopped", "")) or None,
        health=said.get("health") or None,
        started=said.get("started", ""),
        up_seconds=_ago(now, said.get("started")) if said.get("state") == "running" else None,
        restarts=_number(said.get("restarts")) or 0,
        image=said.get("image"),
        image_digest=str(digests[0]) if digests else said.get("image_id"),
        image_inputs=_given(said.get("inputs")),
        ports=published(json.loads(said.get("ports") or "null") or {}),
        ready=said.get("readyz") == "200" if said.get("readyz") else None,
        newer_release=newer(running),
        backups=_backups(said, now) if "backups" in said else None,
        pull=printable(said.get("pull_state") or "no run yet") if "pull" in said else None,
        disk_free=_number(said.get("disk")),
        reboot_required="reboot" in said,
        security_updates=_number(said.get("security")),
    )
    changed = _changed(settings, said.get("record", ""))
    if _other_limits(said):
        drift.append("limits")
    lists = _ago(now, said.get("lists"))
    drifted = [
        *(DRIFT[word] for word in drift if word in DRIFT),
        *(_of_file(word[5:]) for word in drift if word.startswith("file ")),
        *([Problem(f"settings that wait: {changed}", "./claw up brings them")] if changed else ()),
    ]
    wanting = [
        *_of_gateway(found),
        *drifted,
        *_of_backups(settings, found.backups, said),
        *_of_pull(settings, found.pull, said, now),
        *_of_host(found, lists),
    ]
    return replace(found, attention=tuple(wanting), drift=tuple(drifted))


def newer(running: str | None) -> str | None:
    """Return the newest release that the locks know, if it is later than the running one."""
    if not running or not patterns.matches(patterns.VERSION, running):
        return None
    known = upgrade.newest_known()
    return known if upgrade.earlier(running, known) else None


def published(ports: Mapping[str, list[dict[str, str]] | None]) -> tuple[str, ...]:
    """Return Docker's map of ports as `ADDRESS:PORT->PORT/PROTOCOL`."""
    return tuple(
        f"{binding['HostIp']}:{binding['HostPort']}->{inside}"
        for inside, bindings in sorted(ports.items())
        for binding in bindings or ()
    )


def _of_gateway(found: Status) -> Iterator[Problem]:
    if found.stopped_on_purpose and found.state != "running":
        yield Problem(f"stopped on purpose, {found.stopped_on_purpose}", "./claw start starts it")
    elif found.deployed and found.state != "running":
        yield Problem(f"the gateway is {found.state or 'not there'}", "./claw up starts it")
    elif found.state and not found.ready:
        yield Problem("the gateway is not ready", "./claw doctor, ./claw logs")
    if found.newer_release:
        yield Problem(
            f"OpenClaw {found.newer_release} is there, {found.openclaw} runs",
            f'gateway: {{version: "{found.newer_release}"}}, then ./claw up',
        )


def _of_file(name: str) -> Problem:
    return Problem(
        f"{printable(name, 60)} was changed since the gateway was started",
        "./claw up --dry --diff shows what comes of it",
    )


def _of_backups(
    settings: Settings, found: Backups | None, said: Mapping[str, str]
) -> Iterator[Problem]:
    if found is None:
        return
    if found.failed:
        yield Problem(f"the last backup failed: {found.failed}", "./claw backup tries again")
    elif found.made is None:
        yield Problem("there is no backup yet", "./claw backup makes one")
    elif found.made > question.oldest(settings.backup.schedule):
        yield Problem(f"the newest backup is {age(found.made)} old", "./claw backup makes one")
    drill = settings.backup.drill
    if found.drill_failed:
        yield Problem(f"the last drill failed: {found.drill_failed}", "./claw drill tries again")
    # The first one is the timer's to make.
    elif drill and found.made is not None and (found.drilled or 0) > question.oldest(drill):
        yield Problem(
            f"the newest drill is {age(found.drilled or 0)} old", "./claw drill makes one"
        )
    if "unscheduled" in said:
        yield Problem("no timer makes backups or drills any more", "./claw up starts them")


def _of_pull(
    settings: Settings, state: str | None, said: Mapping[str, str], now: int
) -> Iterator[Problem]:
    last = _number(said.get("pull_time"))
    where = f"on the host: systemctl status {settings.name}-pull"
    if state and state not in ("converged", "waiting", "no run yet"):
        yield Problem(f"the last pull: {state}: {printable(said.get('pull_message', ''))}", where)
    if state and last and now - last > question.OLDEST["daily"]:
        yield Problem(f"the last pull is {age(now - last)} old", where)


def _of_host(found: Status, lists: int | None) -> Iterator[Problem]:
    if found.disk_free is not None and found.disk_free < UPDATE_SPACE:
        free = f"{found.disk_free / (1 << 30):.1f} GiB"
        yield Problem(f"{free} of disk are free", "an update of the gateway wants 2 GiB")
    if found.reboot_required:
        yield Problem("the host wants a reboot", "the gateway comes back by itself")
    if found.security_updates:
        updates = "update" if found.security_updates == 1 else "updates"
        yield Problem(
            f"{found.security_updates} security {updates} wait", "apt-get upgrade on the host"
        )
    elif lists is not None and lists > LISTS_DAYS * DAY:
        yield Problem(f"apt's lists are {age(lists)} old", "apt-get update on the host")


def _backups(said: Mapping[str, str], now: int) -> Backups:
    last, drilled = said.get("last", ""), said.get("drilled", "")
    made = said.get("made") or (last if " ok " in last else "")
    return Backups(
        made=_ago(now, made.partition(" ")[0]),
        drilled=_ago(now, drilled.partition(" ")[0]),
        failed=_why(last),
        drill_failed=_why(said.get("drill-failed", "")),
    )


def _why(note: str) -> str:
    _, failed, why = note.partition(" failed ")
    return printable(why, 120) if failed else ""


def _changed(settings: Settings, file: str) -> str:
    """Return which settings differ from those of the last deploy, in a few words."""
    try:
        there = recorded.Recorded.parse(base64.b64decode(file).decode().splitlines()).settings
    except ValueError:
        return ""
    keys = [change.key for change in record.changes(settings, there)] if there else []
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return printable(", ".join(keys[:3]) + more)


def _other_limits(said: Mapping[str, str]) -> bool:
    """Whether the container has other limits than the file that it was made from says."""
    wanted, has = said.get("limits", "").split(), said.get("has_limits", "").split()
    if len(wanted) != 2 or len(has) != 2 or not patterns.matches("[0-9]{1,6}[kmg]", wanted[0]):
        return False
    return [memory_bytes(wanted[0]), _number(wanted[1])] != [_number(one) for one in has]


def age(seconds: int) -> str:
    """Return an age in one unit: `12 min`, `3 h`, `5 d`."""
    for unit, length in (("d", DAY), ("h", HOUR), ("min", 60)):
        if seconds >= length * (2 if unit != "min" else 1):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _ago(now: int, moment: str | None) -> int | None:
    """Return how many seconds ago, on the host's clock, something was; it is text of ISO 8601 or
    seconds since 1970.
    """
    if moment and (seconds := _number(moment)) is not None:
        return max(0, now - seconds)
    try:
        then = datetime.strptime((moment or "")[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return max(0, now - int(then.replace(tzinfo=timezone.utc).timestamp()))


def _number(text: str | None) -> int | None:
    return int(text) if text and patterns.matches(patterns.BYTES, text) else None


def _given(value: str | None) -> str | None:
    return None if value in (None, "", "<no value>") else value
