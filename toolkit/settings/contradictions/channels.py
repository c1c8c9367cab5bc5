"""Channels that cannot be: without a plugin, or with a secret that is nowhere."""

from __future__ import annotations

from collections.abc import Iterator

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
            for key, secret in account.secrets.items():
                if secret not in settings.credentials:
                    there = ", ".join(sorted(settings.credentials)) or "none"
                    yield Inconsistency(
                        (f"{place}.secrets.{key}",),
                        f"given {secret}, which is not under `credentials`; accepted: {there}",
                    )
