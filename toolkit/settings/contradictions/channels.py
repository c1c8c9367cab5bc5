"""Channels that cannot be: without a plugin, or with a secret that is nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolkit import secret_names
from toolkit.settings.channels import BUILT_IN, OFFICIAL, Account
from toolkit.settings.contradictions.mounts import Inconsistency
from toolkit.settings.model import Settings


def problems(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what keeps the channels of `settings` from being set up."""
    for name, channel in settings.channels.items():
        here = f"channels.{name}"
        if not channel.plugin and name not in (*BUILT_IN, *OFFICIAL):
            known = ", ".join(sorted((*BUILT_IN, *OFFICIAL)))
            yield Inconsistency(
                (here,), f"no channel of OpenClaw's own; accepted: {known}, or one with `plugin`"
            )
        accounts: dict[str, Account] = {here: channel}
        accounts |= {f"{here}.accounts.{key}": one for key, one in channel.accounts.items()}
        for place, account in accounts.items():
            yield from _secrets(settings, place, account)
            allowed = account.allow_from or channel.allow_from or ()
            if account.dm_policy == "open" and "*" not in allowed:
                yield Inconsistency(
                    (f"{place}.dm_policy",), 'open to all wants `allow_from: ["*"]` beside it'
                )


def _secrets(settings: Settings, place: str, account: Account) -> Iterator[Inconsistency]:
    """Yield what is no reference; a value is not repeated, for it may be the secret itself."""
    for key, secret in account.secrets.items():
        if secret not in settings.credentials:
            there = ", ".join(sorted(settings.credentials)) or "none"
            yield Inconsistency(
                (f"{place}.secrets.{key}",),
                f"names none of `credentials`, which has the secret itself; accepted: {there}",
            )
    for key, value in _texts(account.options):
        above, _, name = key.rpartition(".")
        if value and secret_names.plainly(name):
            where = (
                "in its place the reference: {source: env, provider: default, id: NAME}"
                if above
                else f"`secrets: {{{key}: NAME}}` here"
            )
            yield Inconsistency(
                (f"{place}.options.{key}",),
                "looks like a secret, which openclaw.json does not hold; set it under"
                f" `credentials`, and {where}",
            )


def _texts(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _texts(value, f"{above}{key}.")
        elif isinstance(value, str):
            yield f"{above}{key}", value
