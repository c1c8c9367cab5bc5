"""The settings of the host itself: who reaches it, who logs in, and what keeps it in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from toolkit.settings.section import Section
from toolkit.settings.types import Accepts, Boolean, Memory

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "vps": {
        part: {"enabled": True}
        for part in ("firewall", "sshd", "fail2ban", "unattended_upgrades", "swap", "time")
    }
}
"""What a preset turns on; what is given explicitly wins over it, key by key."""


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _open_port(value: str) -> str:
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:/(tcp|udp))?", value)
    if not found or int(found[1]) > 65535:
        raise ValueError("no port from 1 to 65535, with or without /tcp or /udp")
    return f"{found[1]}/{found[2] or 'tcp'}"


def _time_of_day(value: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("no time of day")
    return value


OpenPort = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_open_port),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": "^[1-9][0-9]{0,4}(/(tcp|udp))?$"},
            ]
        }
    ),
    Accepts("a port from 1 to 65535, such as `443`, or `PORT/udp`"),
]
TimeOfDay = Annotated[
    str, AfterValidator(_time_of_day), Accepts("a time of day in the host's time zone, `HH:MM`")
]


class HostFirewall(Section):
    """Who reaches the host and what its engine publishes, over IPv4 and IPv6."""

    enabled: Boolean = False
    """Close it, but for the SSH port that the run came in by and what is allowed here. An active
    ufw or firewalld stays in charge of the host's own ports and is told of these."""
    allow: tuple[OpenPort, ...] = ()
    """Ports that anybody may connect to, whether the host itself or a container has them."""


class HostSshd(Section):
    """The host's SSH server."""

    enabled: Boolean = False
    """No password for root, no X11; where the run came in by a key, no passwords at all."""


class HostFail2ban(Section):
    """Who guesses passwords is shut out for a while."""

    enabled: Boolean = False
    """Install fail2ban, and have it read the journal of sshd."""


class HostUpgrades(Section):
    """Updates of security that the host installs by itself."""

    enabled: Boolean = False
    """Install unattended-upgrades, for updates of security alone."""
    reboot: TimeOfDay | None = "04:30"
    """When the host reboots, if an update needs it; none: it never does."""


class HostSwap(Section):
    """Memory that does not suffice, on disk."""

    enabled: Boolean = False
    """Make a swap file on a host that has less memory than `below`, and no swap."""
    size: Memory = "2g"
    """Size of the file, in whole MiB."""
    below: Memory = "4g"
    """Memory from which on a host gets none."""


class HostTime(Section):
    """The host's clock."""

    enabled: Boolean = False
    """Have the clock set by time servers, by systemd-timesyncd if nothing does it yet."""


class HostSettings(Section):
    """The host itself (docs/host.md); everything is off unless it is asked for."""

    preset: Literal["vps"] | None = None
    """`vps`: all of it, for a rented server; single parts can be set off again."""
    firewall: HostFirewall = HostFirewall()
    sshd: HostSshd = HostSshd()
    fail2ban: HostFail2ban = HostFail2ban()
    unattended_upgrades: HostUpgrades = HostUpgrades()
    swap: HostSwap = HostSwap()
    time: HostTime = HostTime()

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        parts = PRESETS.get(str(given.get("preset")), {})
        below = {key: {**own, **given[key]} for key, own in parts.items() if _nested(given, key)}
        return {**parts, **given, **below}


def _nested(given: Mapping[str, Any], key: str) -> bool:
    return isinstance(given.get(key), Mapping)
