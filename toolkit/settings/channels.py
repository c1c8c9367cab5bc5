"""The settings of channels: where people write to the agents from (docs/channels.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from toolkit.patterns import VERSION
from toolkit.settings.section import Section
from toolkit.settings.types import (
    Accepts,
    Boolean,
    EnvironmentName,
    JsonObject,
    LocalText,
    pattern,
)

OFFICIAL = (
    *("buzz", "clickclack", "discord", "feishu", "googlechat", "imessage", "irc", "line", "matrix"),
    *("mattermost", "msteams", "nextcloud-talk", "nostr", "raft", "signal", "slack", "sms"),
    *("synology-chat", "tlon", "twitch", "whatsapp", "zalo", "zalouser"),
)
"""Channels whose plugin is OpenClaw's own, `@openclaw/NAME`, with a release for each of OpenClaw's
(its package has them in `dist/channel-catalog.json`)."""
BUILT_IN = ("a2a", "reef", "telegram")

LINKED = ("whatsapp", "zalouser")
"""Those that OpenClaw starts by the session in its state, whatever openclaw.json has of them."""

CHANNEL = r"[a-z][a-z0-9-]{0,63}"
ACCOUNT = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"

ChannelName = Annotated[str, pattern(CHANNEL), Accepts("the name of a channel, as OpenClaw has it")]
AccountName = Annotated[
    str,
    pattern(ACCOUNT),
    Accepts("a name of letters, digits, - and _"),
]
KeyName = Annotated[
    str,
    pattern(r"[A-Za-z][A-Za-z0-9]{0,63}"),
    Accepts("a key of the channel in openclaw.json, such as `botToken`"),
]
PACKAGE = r"(@[a-z0-9][a-z0-9._-]{0,99}/)?[a-z0-9][a-z0-9._-]{0,99}"
Plugin = Annotated[
    str,
    pattern(rf"{PACKAGE}@{VERSION}"),
    Accepts("an npm package with its release, such as `@example/plugin@1.2.3`"),
]


class Account(Section):
    """An account of a channel; what is not given is OpenClaw's default."""

    enabled: Boolean = True
    """Whether it takes messages."""
    name: LocalText | None = None
    """What it is called in OpenClaw's lists."""
    secrets: dict[KeyName, EnvironmentName] = Field(default_factory=dict)
    """Keys of openclaw.json that hold a secret (`botToken`), and which of `credentials` that is;
    openclaw.json has the reference."""
    dm_policy: Literal["pairing", "allowlist", "open", "disabled"] | None = None
    """Who may write: whoever is let in (`./claw pairing`), those of `allow_from`, or all."""
    allow_from: tuple[LocalText, ...] | None = None
    """Who may write without being let in, as the channel knows them."""
    group_policy: Literal["allowlist", "open", "disabled"] | None = None
    """The same of groups."""
    group_allow_from: tuple[LocalText, ...] | None = None
    """Who may have the agent answer in groups."""
    options: JsonObject = Field(default_factory=dict)
    """Further keys of the channel in openclaw.json, as OpenClaw's documentation has them."""

    def configuration(self) -> dict[str, Any]:
        """Return what openclaw.json says of it."""
        given = {
            "enabled": self.enabled,
            "name": self.name,
            "dmPolicy": self.dm_policy,
            "allowFrom": None if self.allow_from is None else list(self.allow_from),
            "groupPolicy": self.group_policy,
            "groupAllowFrom": None
            if self.group_allow_from is None
            else list(self.group_allow_from),
        }
        secrets = {
            key: {"source": "env", "provider": "default", "id": name}
            for key, name in self.secrets.items()
        }
        return {
            **self.options,
            **{key: value for key, value in given.items() if value is not None},
            **secrets,
        }


class Channel(Account):
    """A channel, which is its default account too."""

    accounts: dict[AccountName, Account] = Field(default_factory=dict)
    """Further accounts, by name."""
    plugin: Plugin | None = None
    """The npm package that it needs; default: OpenClaw's own, of the release that runs."""

    def configuration(self) -> dict[str, Any]:
        own = super().configuration()
        if self.accounts:
            own["accounts"] = {
                name: account.configuration() for name, account in self.accounts.items()
            }
        return own


def package(name: str, channel: Channel, release: str) -> str | None:
    """Return the npm package of a channel with its release; None for one that is built in."""
    if channel.plugin:
        return channel.plugin
    return None if name in BUILT_IN else f"@openclaw/{name}@{release}"
