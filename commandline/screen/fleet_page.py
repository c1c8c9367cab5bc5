"""The page of `./claw report`: a fleet at a moment, in one HTML file without anything from outside.

Beside being text, whatever a host says has the secrets taken out that can be told by their form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from commandline.run.history import KeptRun
from commandline.screen import pages, timeline
from commandline.screen.words import count, duration
from operations.lifecycle.runs import Looked, Run
from operations.lifecycle.status import Status, age
from toolkit import secret_names

SHOWN_RUNS = 20
"""Of the last ones on all hosts."""
BAD, FINE, WAITS = "bad", "fine", "waits"
"""How a cell looks; what it says does not depend on it."""


def render(
    looked: Mapping[str, Looked],
    errors: Mapping[str, str],
    attention: Sequence[str],
    kept: Sequence[KeptRun],
    target: str,
    moment: str,
) -> str:
    """Return the page.

    Args:
        looked: what hosts answered, and `errors` why others did not, by their names.
        attention: the lines about what wants attention, as `./claw status` prints them.
        kept: runs whose times this machine knows, the latest first.
        moment: when the hosts were asked, for people.
    """
    hosts = [*(_host(name, one.status) for name, one in looked.items()), *map(_silent, errors)]
    columns = [
        key
        for key in dict.fromkeys(key for host in hosts for key in host["cells"])
        if any(_cell(host["cells"], key)["text"] for host in hosts)
    ]
    return pages.render(
        "report/report.html.j2",
        target=_clean(target),
        moment=moment,
        summary=_summary(looked, errors),
        hosts=[{"name": host["name"], "row": _row(host["cells"], columns)} for host in hosts],
        columns=columns,
        errors=[{"host": _clean(name), "why": _clean(why)} for name, why in errors.items()],
        attention=[_clean(line) for line in attention],
        drift=[
            {"host": _clean(name), "lines": [_clean(f"{p.what}: {p.fix}") for p in drift]}
            for name, one in looked.items()
            if (drift := one.status.drift)
        ],
        runs=_runs(looked),
        times=[_time(one) for one in kept],
    )


def _clean(text: object) -> str:
    return secret_names.MADE.sub(secret_names.HIDDEN, secret_names.without_login(str(text)))


def _summary(looked: Mapping[str, Looked], errors: Mapping[str, str]) -> list[dict[str, str]]:
    all_of_them = [one.status for one in looked.values()]
    ready = sum(one.ready is True for one in all_of_them)
    wanting = sum(bool(one.attention) for one in all_of_them)
    drifted = sum(bool(one.drift) for one in all_of_them)
    hosts = len(looked) + len(errors)
    cells = [
        (f"{ready} of {hosts}", "ready", FINE if ready == hosts else BAD),
        (str(wanting), "want attention", WAITS if wanting else FINE),
        (str(drifted), "with drift", WAITS if drifted else FINE),
        (str(len(errors)), "without an answer", BAD if errors else FINE),
    ]
    return [{"number": number, "what": what, "look": look} for number, what, look in cells]


def _host(name: str, one: Status) -> dict[str, Any]:
    up = f", {age(one.up_seconds)}" if one.up_seconds is not None else ""
    stopped = f"stopped on purpose, {one.stopped_on_purpose}" if one.stopped_on_purpose else ""
    runs = one.state == "running"
    state = stopped if stopped and not runs else "not ready" if runs else one.state or "not there"
    backups = one.backups
    free = one.disk_free
    cells = {
        "Gateway": (f"ready{up}", FINE) if one.ready else (state, BAD),
        "Deployment": (one.deployment, ""),
        "OpenClaw": (one.openclaw or "", ""),
        "Later release": (one.newer_release or "", WAITS),
        "Backup": _aged(backups.made, backups.failed) if backups else ("none set up", ""),
        "Drill": _aged(backups.drilled, backups.drill_failed) if backups else ("", ""),
        "Drift": (str(len(one.drift)), WAITS) if one.drift else ("none", ""),
        "Security updates": (str(one.security_updates or ""), WAITS),
        "Reboot": ("wanted" if one.reboot_required else "", WAITS),
        "Watch": (str(one.watch or ""), _watched(one)),
        "Restarts": (str(one.restarts or ""), ""),
        "Free disk": ("" if free is None else f"{free / (1 << 30):.0f} GiB", ""),
        "Engine": (one.engine or "", ""),
    }
    return {
        "name": _clean(name),
        "cells": {key: {"text": _clean(text), "look": look} for key, (text, look) in cells.items()},
    }


def _cell(cells: Mapping[str, Any], key: str) -> Mapping[str, str]:
    found: Mapping[str, str] = cells.get(key, {"text": "", "look": ""})
    return found


def _row(cells: Mapping[str, Any], columns: Sequence[str]) -> list[Mapping[str, str]]:
    return [_cell(cells, key) for key in columns]


def _silent(name: str) -> dict[str, Any]:
    return {"name": _clean(name), "cells": {"Gateway": {"text": "no answer", "look": BAD}}}


def _watched(one: Status) -> str:
    watch = one.watch
    if watch is None or not (watch.wrong or watch.told):
        return ""
    return BAD if watch.gave_up else WAITS


def _aged(seconds: int | None, failed: str) -> tuple[str, str]:
    made = "never" if seconds is None else f"{age(seconds)} ago"
    return (f"{made}; the last one failed", BAD) if failed else (made, "" if seconds else WAITS)


def _runs(looked: Mapping[str, Looked]) -> list[dict[str, Any]]:
    """Return the last runs by what the hosts have of them, one row for all hosts of a run."""
    of_run: dict[str, list[tuple[str, Run]]] = {}
    for name, one in looked.items():
        for run in one.runs:
            of_run.setdefault(run.run, []).append((name, run))
    rows = [_run(those) for those in of_run.values()]
    return sorted(rows, key=lambda row: str(row["time"]), reverse=True)[:SHOWN_RUNS]


def _run(those: Sequence[tuple[str, Run]]) -> dict[str, Any]:
    _, first = those[0]
    worst = next((r for r in ("failed", "interrupted") for _, one in those if one.result == r), "")
    names = [name for name, _ in those]
    return {
        "time": max(one.time for _, one in those),
        "result": worst or first.result,
        "look": BAD if worst else FINE,
        "hosts": _clean(", ".join(names[:3]) + _more(names)),
        "changed": sum(one.changed for _, one in those),
        "longest": duration(max(one.seconds for _, one in those)),
        "openclaw": _clean(first.openclaw),
        "who": _clean(first.owner),
        "failed": _clean(", ".join(dict.fromkeys(_failures(those)))),
    }


def _failures(those: Iterable[tuple[str, Run]]) -> list[str]:
    return [f"{name}: {operation}" for name, one in those for operation in one.failed]


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _time(one: KeptRun) -> dict[str, Any]:
    total = sum(one.stages.values()) or 1.0
    chosen = timeline.colours(one.stages)
    longest = sorted(one.stages.items(), key=lambda pair: -pair[1])
    return {
        "time": one.time,
        "who": _clean(one.owner),
        "about": _clean(f"{count(one.hosts, 'host')}, {duration(one.seconds)}: {one.outcome}"),
        "bars": [
            {
                "name": _clean(name or "Other"),
                "width": round(seconds * 100 / total, 3),
                "colour": chosen[name],
            }
            for name, seconds in one.stages.items()
        ],
        "stages": [
            {"name": _clean(name or "Other"), "seconds": duration(seconds), "colour": chosen[name]}
            for name, seconds in longest[:6]
        ],
    }
