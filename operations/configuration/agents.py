"""The agents of openclaw.json, in the form that the deployed release has for them.

Since 2026.8.1 it is `agents.entries.<id>`, and several agents need `agents.ownership: "explicit"`
(docs: gateway/config-agents/entries-and-multi-agent); before, it was the array `agents.list`, of
which other entries and other keys are the user's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import (
    STATE,
    WORKSPACE,
)

KEYED_SINCE = (2026, 8, 1)
FIRST = "main"
"""The agent that there is when openclaw.json names none."""


@dataclass(frozen=True)
class Agents:
    """The agents that are there by id, whether the release keeps them under `entries`, the
    workspace of an agent that is the only one, and OpenClaw's state directory."""

    keyed: bool
    entries: Mapping[str, Mapping[str, Any]]
    workspace: str = WORKSPACE
    state: str = STATE

    def several(self, changes: Collection[str]) -> bool:
        """Return whether there is more than one agent after `changes` to some."""
        return len({*(self.entries or (FIRST,)), *changes}) > 1

    def merged(self, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the keys of `agents` after `changes` to single agents; empty without any.

        A None in a change means: absent. The first agent, which exists as long as no agent is
        named, stays when others are.
        """
        if not changes:
            return {}
        before = self.entries or {FIRST: {}}
        wanted: dict[str, Any] = {} if self.entries else {FIRST: {}}
        for name, change in changes.items():
            wanted[name] = {
                **({} if name in before else {"workspace": workspace(name, self.state)}),
                **change,
            }
        if not self.keyed:
            after = {name: {"id": name, **entry} for name, entry in self.entries.items()}
            for name, change in wanted.items():
                after[name] = patched(after.get(name, {"id": name}), change)
            return {"list": list(after.values())}
        if not self.several(changes):
            return {"entries": wanted}
        for name, entry in before.items():
            # OpenClaw fixes the only agent's workspace when others join it, and takes the place
            # from the environment of the command that adds them.
            if len(before) == 1 and "workspace" not in entry:
                wanted[name] = {**wanted.get(name, {}), "workspace": self.workspace}
        marked = any(entry.get("default") for entry in before.values())
        return {"entries": wanted, **({} if marked else {"ownership": "explicit"})}


def workspace(name: str, state: str = STATE) -> str:
    """Return the workspace of an agent that the toolkit adds, apart from that of the first."""
    return f"{state}/workspace-{name}"


def of(settings: Settings, there: Mapping[str, Any]) -> Agents:
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
    # An image or a branch without a number: as it is, else the newest form.
    keyed = version >= KEYED_SINCE if version else entries is not None or listed is None
    usual = settings.workspace_in_gateway
    chosen = _workspace(settings.openclaw) or _workspace(there) or usual
    return Agents(keyed, found, chosen, settings.state_in_gateway)


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


def _workspace(configuration: Mapping[str, Any]) -> str | None:
    try:
        found = configuration["agents"]["defaults"]["workspace"]
    except (KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _has_id(entry: object) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), str)


def patched(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` after a merge patch (RFC 7396), as `openclaw config patch` applies one."""
    result = dict(base)
    for key, value in change.items():
        if isinstance(value, Mapping):
            below = result.get(key)
            nested = patched(below if isinstance(below, Mapping) else {}, value)
            if nested or not value:
                result[key] = nested
            elif key in result:
                del result[key]
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result
