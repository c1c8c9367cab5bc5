"""Which OpenClaw is on a host beside the toolkit's deployments: its own Docker set-up, units of
users and of the system (npm, the Ansible playbook), states alone; also under its old names.

Two read-only questions find it. Much of the answer belongs to users of the host, who may say
anything there: what is not of its form is left out.
"""

from __future__ import annotations

import base64
import json
import posixpath
from dataclasses import replace
from typing import Any

from pyinfra import host

from operations import engine_access
from operations.base import snapshot, templates
from operations.lifecycle.installation import NAMES, Installation, directory, projects, unit
from toolkit import patterns
from toolkit.patterns import matches
from toolkit.settings import Settings

LIMIT = 1 << 20
LOOK_SECONDS = 250
UNIT = r"[A-Za-z0-9_-]{1,80}\.service"


def found(settings: Settings, source: str | None = None) -> tuple[list[Installation], list[int]]:
    """Return what is on the current host, and how many KiB are free where copies would be made.

    + source: a state directory that the user named, found or not
    """
    script = templates.render(
        "lifecycle/installations.sh.j2",
        docker=engine_access.environment(settings),
        socket=settings.engine.socket,
        names=NAMES,
        limit=LIMIT,
    )
    there = services(snapshot.run_quietly(host, script, LOOK_SECONDS))
    if source and not any(one.named(source) for one in there):
        there.append(directory(posixpath.normpath(source)))
    places = [
        {
            "number": number,
            "state": one.state,
            "uid": "-" if one.uid is None else one.uid,
            "parts": list(one.parts.items()),
            # What root's own unit names is root's word.
            "variables_uid": "-" if one.uid is None or one.kind == "system" else one.uid,
            "variables": [posixpath.split(path) for path in one.variable_files],
        }
        for number, one in enumerate(there)
    ]
    script = templates.render(
        "lifecycle/states.sh.j2",
        places=places,
        limit=LIMIT,
        roots=[settings.config_directory, settings.workspace_directory, settings.auth_directory],
    )
    return known(there, snapshot.run_quietly(host, script, LOOK_SECONDS))


def services(answer: str) -> list[Installation]:
    """Return what the answer to the first question means; what is not of its form is left out."""
    inspected: dict[str, list[dict[str, Any]]] = {"containers": [], "images": []}
    accounts: dict[str, tuple[int, str]] = {}
    active: dict[tuple[str, str], bool] = {}
    units: list[tuple[str, int, str, str]] = []
    states: list[tuple[int, str, str]] = []
    uid, home = 0, ""
    for line in answer.splitlines():
        word, *rest = line.split(" ")
        if word in inspected and rest:
            inspected[word] = _json(rest[0])
        elif word == "home" and len(rest) == 2:
            known = matches(patterns.NUMBER, rest[0])
            uid, home = (int(rest[0]), _path(rest[1])) if known else (0, "")
        elif word == "unit" and len(rest) == 2 and matches(UNIT, rest[0]) and home:
            units.append((home, uid, rest[0], _text(rest[1])))
        elif word == "system" and len(rest) == 2 and matches(UNIT, rest[0]):
            home = ""  # all homes are through
            units.append(("", 0, rest[0], _text(rest[1])))
        elif word == "active" and len(rest) == 2:
            active[home, rest[0]] = rest[1] in ("active", "activating", "reloading")
        elif (
            word == "state"
            and len(rest) == 1
            and home
            and matches(r"\.[A-Za-z0-9_.@-]{1,80}", rest[0])
        ):
            states.append((uid, home, rest[0]))
        elif word == "passwd" and len(rest) == 3 and matches(patterns.NUMBER, rest[1]):
            accounts[rest[0]] = int(rest[1]), rest[2]
    there = list(projects(inspected["containers"], inspected["images"]))
    for home, uid, name, text in units:
        there.append(unit(home, uid, name, text, accounts, active.get((home, name), False)))
    taken = {one.state for one in there}
    for uid, home, name in states:
        if (path := f"{home}/{name}") not in taken:
            there.append(directory(path, uid, home))
    return [one for one in there if matches(patterns.PATH, one.state)]


def known(there: list[Installation], answer: str) -> tuple[list[Installation], list[int]]:
    """Return the installations with what the answer to the second question says of them."""
    free: list[int] = []
    found: list[dict[str, Any]] = [
        {"sizes": {}, "files": {}, "refused": {}, "parts": {}} for _ in there
    ]
    for line in answer.splitlines():
        word, number, *rest = line.split(" ")
        if word == "free":
            free.append(int(patterns.matched(patterns.NUMBER, number, "free space")))
            continue
        if not matches(patterns.NUMBER, number) or int(number) >= len(found):
            continue
        one = found[int(number)]
        if word == "real" and rest and (path := _path(rest[0])):
            one |= {"state": path, "linked": path != there[int(number)].state}
        elif word == "gone":
            one["gone"] = True
        elif word == "size" and rest:
            one["sizes"]["state"] = int(rest[0]) if matches(patterns.NUMBER, rest[0]) else None
        elif word == "part" and len(rest) == 3 and (path := _path(rest[2])):
            one["parts"][rest[0]] = path
            one["sizes"][rest[0]] = int(rest[1]) if matches(patterns.NUMBER, rest[1]) else None
        elif word == "file" and rest:
            before = one["files"].get(rest[0], b"")  # of variables there may be several
            one["files"][rest[0]] = (
                before
                + _bytes(rest[1] if len(rest) > 1 else "")
                + (b"\n" if rest[0] == "variables" else b"")
            )
        elif word == "unreadable" and rest:
            one["unreadable"] = _text(rest[0])
        elif word == "refused" and rest:
            one["refused"][rest[0]] = " ".join(rest[1:])
        elif word == "used":
            one["used"] = ", ".join(pid for pid in rest if matches(patterns.NUMBER, pid))
    complete = [replace(one, **more) for one, more in zip(there, found, strict=True)]
    unique = {one.state: one for one in reversed(complete)}  # a unit's before the bare directory
    return [one for one in complete if unique[one.state] is one], free


def _json(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(_bytes(text) or b"[]")
    except (ValueError, RecursionError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _text(encoded: str) -> str:
    return _bytes(encoded).decode(errors="replace")


def _path(encoded: str) -> str:
    path = _text(encoded)
    return path if matches(patterns.PATH, path) else ""
