"""The agents of openclaw.json, in the form that the deployed release has for them.

Since 2026.8.1 it is `agents.entries.<id>`, and several agents need `agents.ownership: "explicit"`
(docs: gateway/config-agents/entries-and-multi-agent); before, it was the array `agents.list`, of
which other entries and other keys are the user's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.settings import Settings

KEYED_SINCE = (2026, 8, 1)
FIRST = "main"
"""The agent that there is when openclaw.json names none."""


@dataclass(frozen=True)
class Roster:
    """The agents that are there by id, and whether the release keeps them under `entries`."""

    keyed: bool
    entries: Mapping[str, Mapping[str, Any]]

    def merged(self, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the keys of `agents` after `changes` to single agents; empty without any.

        A None in a change means: absent. The first agent, which exists as long as no agent is
        named, stays when others are.
        """
        if not changes:
            return {}
        wanted: dict[str, Any] = {} if self.entries or FIRST in changes else {FIRST: {}}
        wanted |= changes
        if self.keyed:
            several = len(self.entries.keys() | wanted.keys()) > 1
            marked = any(entry.get("default") for entry in self.entries.values())
            explicit = {"ownership": "explicit"} if several and not marked else {}
            return {"entries": wanted, **explicit}
        after = {name: {"id": name, **entry} for name, entry in self.entries.items()}
        for name, change in wanted.items():
            after[name] = _patched(after.get(name, {"id": name}), change)
        return {"list": list(after.values())}


def of(settings: Settings, there: Mapping[str, Any]) -> Roster:
    """Return the agents of openclaw.json as it is."""
    agents = there.get("agents")
    agents = agents if isinstance(agents, Mapping) else {}
    entries, listed = agents.get("entries"), agents.get("list")
    found = {}
    if isinstance(listed, list):
        found = {str(entry["id"]): entry for entry in listed if _has_id(entry)}
    if isinstance(entries, Mapping):
        found = {name: entry for name, entry in entries.items() if isinstance(entry, Mapping)}
    version = release(settings)
    if version is None:  # an image or a branch without a number: as it is, else the newest form
        return Roster(entries is not None or listed is None, found)
    return Roster(version >= KEYED_SINCE, found)


def release(settings: Settings) -> tuple[int, ...] | None:
    """Return the deployed release as numbers, None where only the image itself knows it."""
    gateway = settings.gateway
    said = {
        "npm": gateway.version,
        "image": (gateway.image or "").partition("@")[0].rpartition("/")[2].partition(":")[2],
        "git": gateway.ref,
    }[gateway.source]
    found = re.match(r"v?(\d{4})\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else None


def _has_id(entry: object) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), str)


def _patched(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a merge patch (RFC 7396)."""
    result = dict(base)
    for key, value in change.items():
        if isinstance(value, Mapping):
            below = result.get(key)
            nested = _patched(below if isinstance(below, Mapping) else {}, value)
            if nested or not value:
                result[key] = nested
            elif key in result:
                del result[key]
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result
