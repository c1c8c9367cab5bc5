"""The channels of openclaw.json: those of the settings, and what of an earlier deploy is none more.

A channel of the settings is the toolkit's while it is there: what is taken out of the settings
since the last deploy is taken out of openclaw.json; one that has a session in the state is
switched off there, or OpenClaw starts it all the same. A channel that was never in them is not
looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit import merging
from toolkit.settings.channels import LINKED, Channel


def configuration(channels: Mapping[str, Channel], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of openclaw.json that says what the channels of the settings are, and with
    None what of the last deploy's is to be absent.

    + before: the settings of the last deploy, as the host has them
    """
    wanted = {name: channel.configuration() for name, channel in channels.items()}
    # An account that somebody has made by hand beside ours stays.
    with_accounts = {name: {"accounts": {}, **one} for name, one in wanted.items()}
    earlier = _before(before.get("channels"))
    found = merging.merge(_gone(earlier, with_accounts), wanted)
    for name in LINKED:
        if name in found and found[name] is None:
            found[name] = {**dict.fromkeys(earlier[name]), "enabled": False}
    return {"channels": found} if found else {}


def _before(recorded: object) -> dict[str, Any]:
    found = {}
    for name, one in recorded.items() if isinstance(recorded, Mapping) else ():
        try:
            found[str(name)] = Channel.model_validate(_without_secrets(one)).configuration()
        except ValueError:  # of another release of the toolkit
            found[str(name)] = {}
    return found


def _without_secrets(one: object) -> object:
    """Return a recorded channel with names in the place of those of its secrets that are hidden."""
    if not isinstance(one, Mapping):
        return one
    accounts = one.get("accounts")
    found = {**one, "secrets": dict.fromkeys(one.get("secrets") or (), "HIDDEN")}
    if isinstance(accounts, Mapping):
        found["accounts"] = {name: _without_secrets(each) for name, each in accounts.items()}
    return found


def _gone(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {key: None for key in before if key not in wanted}
    for key in before.keys() & wanted.keys():
        there, now = before[key], wanted[key]
        if isinstance(there, Mapping) and isinstance(now, Mapping) and (below := _gone(there, now)):
            found[key] = below
    return found
