"""What a host was last deployed with: a file on it that later runs compare the settings with.

A setting that came from `--set`, or from a line of an inventory that is gone, falls back to its
default in silence; the plan says so, and where the default protects less the host must be told by
name. The file holds no secrets: it is what `./claw settings` prints.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from functools import lru_cache
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

from operations import upgrade
from operations.base import files, notes, preflight, snapshot
from operations.base.notes import Change
from operations.base.operation import operation
from operations.recorded import Recorded, flat, path
from toolkit.settings import Settings
from toolkit.settings.sources.resolve import layers_of, resolved

STRONGEST_FIRST: dict[str, tuple[Any, ...]] = {
    "sandbox.enabled": (True, False),
    "sandbox.mode": ("all", "non-main"),
    "sandbox.scope": ("session", "agent", "shared"),
    "sandbox.workspace_access": ("none", "ro", "rw"),
    "sandbox.session_tools_visibility": ("spawned", "all"),
    "sandbox.container.read_only_root": (True, False),
    "sandbox.seccomp": ("own", "engine"),
    "sandbox.apparmor": ("required", "auto", "off"),
    "config_ownership": ("managed", "merge"),
}
"""Values of settings that protect, from the strongest on."""
_WITH_ENTRIES = (
    *("build.arguments.", "channels.", "credentials.", "engine.daemon.", "gateway.environment."),
    *("openclaw.", "sandbox.agents.", "sandbox.container.environment."),
)
"""Mappings of the user's own keys: an entry that is not there any more is a change."""


def lowers_release(change: Change) -> bool:
    """Return whether a change goes from a release of OpenClaw to an earlier one."""
    before, after = change.before, change.after
    if change.key != "gateway.version" or not (isinstance(before, str) and isinstance(after, str)):
        return False
    return upgrade.earlier(after, before)


def protects_less(change: Change) -> bool:
    """Return whether the value of now is weaker than that of before."""
    before, after = change.before, change.after
    if change.key == "sandbox.preset":
        return before is not None and after is None
    if change.key == "sandbox.tools.deny":
        return isinstance(before, list) and not set(before) <= set(after or ())
    order = STRONGEST_FIRST.get(change.key, ())
    return before in order and after in order and order.index(after) > order.index(before)


def content(settings: Settings) -> str:
    """Return the file's content: every setting, secrets hidden."""
    return json.dumps(resolved(settings), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def last(host: Host) -> dict[str, Any]:
    """Return the settings that a host was last deployed with; none: never."""
    return snapshot.of(Recorded, host).settings


def changes(settings: Settings, recorded: Recorded) -> list[Change]:
    """Return the settings that differ from the recorded ones; none where nothing is recorded.

    A setting that the toolkit of before did not know is left out: nobody changed it.
    """
    before, after = recorded.flat, _wanted(settings)
    both = [key for key in after if key in before and after[key] != before[key]]
    one = [
        key
        for key in before.keys() ^ after.keys()
        if key.startswith(_WITH_ENTRIES) and before.get(key) != after.get(key)
    ]
    return [Change(key, before.get(key), after.get(key)) for key in sorted([*both, *one])]


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [path(settings)]


@preflight.check
def weakened(settings: Settings) -> Iterable[preflight.Problem]:
    """What protects is switched off by name only, and so is the way to an earlier release."""
    found = changes(settings, snapshot.of(Recorded))
    notes.of(host).settings = found
    origins = layers_of(host).origins
    preset = any(change.key == "sandbox.preset" for change in found) and (
        ("sandbox", "preset") in origins
    )
    for change in found:
        named = tuple(change.key.split(".")) in origins
        if named or (preset and change.key.startswith("sandbox.")):
            continue
        was, now = (
            json.dumps(value, ensure_ascii=False) for value in (change.before, change.after)
        )
        if lowers_release(change):
            what = "an earlier release, which cannot read the state of a later one"
        elif protects_less(change):
            what = "which protects less"
        else:
            continue
        yield preflight.Problem(
            f"{change.key} was {was} at the last deploy, is not given now and would become {now}:"
            f" {what}",
            f"keep it: write it into the inventory (./claw init makes one of what is deployed) or"
            f" add --set {_given(change.key, change.before)}; to change it, say"
            f" --set {_given(change.key, change.after)}",
        )


@operation
def kept(settings: Settings) -> Generator:
    """Write down what the host is deployed with, without secrets.

    + settings: the settings of the host

    Settings that the toolkit of before did not know, at their defaults, are no change; nor are
    those that it had (`GONE`).
    """
    before = snapshot.of(Recorded).flat
    after = _wanted(settings)
    there = files.found(path(settings))
    new = after.keys() - before.keys()
    defaults = _wanted(Settings()) if before and new else {}
    same = bool(before) and before | {key: defaults.get(key) for key in new} == after
    if same and there and (there.mode, there.owner) == ("600", "0:0"):
        host.noop("the host has the settings of this deploy on record")
        return
    yield from files.write._inner([files.File(path(settings), content(settings), mode="600")])


@deploy("Record")
def keep(settings: Settings) -> None:
    """Keep on the host what it was deployed with."""
    kept(name="Record the settings of this deploy", settings=settings)


@lru_cache(maxsize=64)
def _wanted(settings: Settings) -> Mapping[str, Any]:
    return flat(resolved(settings))


def _given(key: str, value: Any) -> str:
    """Return `--set`'s word; what was there before is the host's word, and quoted."""
    return quote(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
