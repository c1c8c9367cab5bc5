"""Agents and sandboxes as the deployed openclaw.json has them, which an agent can write.

Only what has the form that OpenClaw documents (gateway/config-agents) is taken over, and what has
not is named: references, names and paths of it go into scripts that run as root.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit import patterns
from toolkit.patterns import matches, shown

MOST_AGENTS = 64
"""How many agents are looked at; each one's turn in a proof takes seconds."""
_ABSENT = object()
_NUMBER = object()
_WORD = r"[A-Za-z][A-Za-z-]{0,31}"
_HOME_PATH = rf"~|~?{patterns.PATH}"


@dataclass(frozen=True)
class _Each:
    """An object whose keys are names of a pattern, and whose values have one form."""

    key: str
    form: Any


_CONTAINER = {
    "image": patterns.IMAGE,
    "containerPrefix": patterns.NAME,
    "network": r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}",
    "binds": [patterns.TEXT],
}
_DOCKER = _CONTAINER | {
    "workdir": patterns.PATH,
    "user": patterns.USER,
    "readOnlyRoot": bool,
    "dangerouslyAllowExternalBindSources": bool,
    "tmpfs": [patterns.TEXT],
    "capDrop": ["[A-Za-z_]{1,40}"],
    "env": _Each(r"[A-Za-z_][A-Za-z0-9_]{0,200}", None),
    "ulimits": _Each("[a-z]{1,20}", None),
    "seccompProfile": rf"unconfined|{patterns.PATH}",
    "apparmorProfile": r"[A-Za-z0-9_./-]{1,200}",
    "pidsLimit": _NUMBER,
    "cpus": _NUMBER,
    "memory": (r"[0-9]{1,15}(\.[0-9]{1,6})?[bkmgBKMG]?[bB]?", _NUMBER),
    "memorySwap": (r"-1|[0-9]{1,15}(\.[0-9]{1,6})?[bkmgBKMG]?[bB]?", _NUMBER),
}
_SANDBOX = {
    "mode": _WORD,
    "scope": _WORD,
    "backend": _WORD,
    "workspaceAccess": _WORD,
    "workspaceRoot": _HOME_PATH,
    "docker": _DOCKER,
    "browser": _CONTAINER | {"enabled": bool},
    "prune": {},
}
_AGENT = {
    "id": patterns.AGENT,
    "default": bool,
    "workspace": _HOME_PATH,
    "sandbox": _SANDBOX,
    "tools": {"exec": {}},
}
_FORM = {
    "agents": {
        "ownership": _WORD,
        "defaults": {"workspace": _HOME_PATH, "sandbox": _SANDBOX},
        "entries": _Each(patterns.AGENT, _AGENT),
        "list": [_AGENT],
    },
    "tools": {"exec": {}},
}


@dataclass(frozen=True)
class Deployed:
    """What of an openclaw.json has its form, and a sentence for each thing that has not."""

    configuration: dict[str, Any]
    wrong: tuple[str, ...] = ()


def of(configuration: Mapping[str, Any]) -> Deployed:
    """Return what an openclaw.json says of agents, sandboxes and tools."""
    wrong: list[str] = []
    found = _taken(dict(configuration), _FORM, "", wrong)
    agents = found.get("agents", {})
    if "list" in agents:
        named = [entry for entry in agents["list"] if "id" in entry]
        wrong += ["an agent under agents.list has no id"] * (len(named) < len(agents["list"]))
        agents["list"] = named
    if max(len(agents.get(key, ())) for key in ("entries", "list")) > MOST_AGENTS:
        wrong.append(f"there are more than {MOST_AGENTS} agents; the others are not looked at")
        agents |= {
            "entries": dict(list(agents.get("entries", {}).items())[:MOST_AGENTS]),
            "list": agents.get("list", [])[:MOST_AGENTS],
        }
    return Deployed(found, tuple(wrong[:MOST_AGENTS]))


def _taken(value: Any, form: Any, place: str, wrong: list[str]) -> Any:
    """Return as much of a value as has its form."""
    if value is None:
        return _ABSENT
    if isinstance(form, dict | _Each):
        if isinstance(value, Mapping):
            return _object(value, form, place, wrong)
    elif isinstance(form, list):
        if isinstance(value, list):
            items = (_taken(one, form[0], f"{place}[]", wrong) for one in value)
            return [one for one in items if one is not _ABSENT]
    elif form is None or any(_is(value, one) for one in _alternatives(form)):
        return value
    wrong.append(f"{place} is {shown(value)}, which OpenClaw does not take there")
    return _ABSENT


def _object(value: Mapping[str, Any], form: Any, place: str, wrong: list[str]) -> dict[str, Any]:
    found = {}
    for key, one in value.items():
        known = isinstance(form, dict)
        if not known and not matches(form.key, key):
            wrong.append(f"{place} has an entry {shown(key)}, which is no name of one")
            continue
        name = key if matches(patterns.AGENT, key) else shown(key)
        inner = form.get(key) if known else form.form
        taken = _taken(one, inner, f"{place}.{name}" if place else name, wrong)
        if taken is not _ABSENT:
            found[key] = taken
    return found


def _alternatives(form: Any) -> tuple[Any, ...]:
    return form if isinstance(form, tuple) else (form,)


def _is(value: Any, form: Any) -> bool:
    if isinstance(form, str):
        return matches(form, value)
    if form is _NUMBER:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and 0 <= value < 1e15
    return isinstance(value, form)
