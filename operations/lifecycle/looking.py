"""What runs of a deployment, and what on its host wants attention: one round trip, nothing changed.

All is told from the host's own files and apt's own lists; which releases there are, from the locks
on the control machine. What `up --dry` knows beyond that it alone knows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

from pyinfra.api.host import Host

from operations import activation, record, recorded, upgrade
from operations.base import snapshot
from operations.base.answers import ANSWER_SECONDS, printable
from operations.base.preflight import Problem
from operations.lifecycle import attention
from operations.lifecycle.status import Backups, Pulled, Status, Watch
from operations.watch import question
from toolkit import patterns
from toolkit.settings import Settings, settings_for
from toolkit.settings.types import memory_bytes

_WORD = r"[a-z][a-z-]{0,19}"
"""What the host's own scripts say of a state."""


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
        pull=_pulled(said, now) if "pull" in said else None,
        watch=_watch(said, lines) if "watch" in said else None,
        timers_missing=_missing(settings, lines),
        disk_free=_number(said.get("disk")),
        reboot_required="reboot" in said,
        security_updates=_number(said.get("security")),
    )
    changed = _changed(settings, said.get("record", ""))
    if _other_limits(said):
        drift.append("limits")
    lists = _ago(now, said.get("lists"))
    drifted = (
        *(attention.DRIFT[word] for word in drift if word in attention.DRIFT),
        *(attention.of_file(word[5:]) for word in drift if word.startswith("file ")),
        *([Problem(f"settings that wait: {changed}", "./claw up brings them")] if changed else ()),
    )
    found = replace(found, drift=drifted)
    return replace(found, attention=attention.wanting(settings, found, lists))


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


def _backups(said: Mapping[str, str], now: int) -> Backups:
    last, drilled = said.get("last", ""), said.get("drilled", "")
    made = said.get("made") or (last if " ok " in last else "")
    return Backups(
        made=_ago(now, made.partition(" ")[0]),
        drilled=_ago(now, drilled.partition(" ")[0]),
        failed=_why(last),
        drill_failed=_why(said.get("drill-failed", "")),
    )


def _pulled(said: Mapping[str, str], now: int) -> Pulled:
    return Pulled(
        state=printable(said.get("pull_state", "")) or None,
        message=printable(said.get("pull_message", "")),
        ran=_ago(now, said.get("pull_time")),
    )


def _watch(said: Mapping[str, str], lines: list[tuple[str, str]]) -> Watch:
    told = [value.partition(" ")[::2] for key, value in lines if key == "told"]
    return Watch(
        seen=_word(said.get("watch_before")) or None,
        wrong=_word(said.get("watch_wrong")),
        restarts=_number(said.get("watch_attempts")) or 0,
        told=tuple((about, word) for about, word in told if _word(about) and _word(word)),
    )


def _missing(settings: Settings, lines: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the timers of the deployment that do not run."""
    said = {value for key, value in lines if key == "unscheduled"}
    return tuple(timer for timer in question.timers(settings) if timer in said)


def _why(note: str) -> str:
    _, failed, why = note.partition(" failed ")
    return printable(why, 120) if failed else ""


def _changed(settings: Settings, file: str) -> str:
    """Return which settings differ from those of the last deploy, in a few words."""
    try:
        there = recorded.Recorded.parse(base64.b64decode(file).decode().splitlines())
    except ValueError:
        return ""
    keys = [change.key for change in record.changes(settings, there)] if there.settings else []
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return printable(", ".join(keys[:3]) + more)


def _other_limits(said: Mapping[str, str]) -> bool:
    """Whether the container has other limits than the file that it was made from says."""
    wanted, has = said.get("limits", "").split(), said.get("has_limits", "").split()
    if len(wanted) != 2 or len(has) != 2 or not patterns.matches("[0-9]{1,6}[kmg]", wanted[0]):
        return False
    return [memory_bytes(wanted[0]), _number(wanted[1])] != [_number(one) for one in has]


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


def _word(text: str | None) -> str:
    return text if text and patterns.matches(_WORD, text) else ""


def _given(value: str | None) -> str | None:
    return None if value in (None, "", "<no value>") else value
