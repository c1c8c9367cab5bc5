"""The plugins that channels need, and what OpenClaw says of the channels (docs: cli/channels).

A plugin lies in the state, which is its owner's, so that it is he who looks there. It is installed
by the gateway that runs, which takes it up at once.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

from operations import activation, openclaw
from operations.base import owner, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.waits import waiting
from operations.gateway import form
from toolkit import patterns
from toolkit.settings import Settings
from toolkit.settings.channels import PACKAGE, package

STATUS = "status"
NOT_CONFIGURED = "not configured"
"""OpenClaw's word for the account that each plugin has, whether anybody wants it or not."""


@snapshot.fact("plugins")
@dataclass(frozen=True)
class Plugins:
    """The releases of the plugins that the channels need, by package; those that are there."""

    releases: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def script(settings: Settings) -> str:
        names = [name for name, _ in wanted(settings, "0.0.0")]
        if not names:
            return ""
        look = (
            "for name do for file in npm/projects/*/node_modules/$name/package.json; do "
            '[ -f "$file" ] || continue; '
            'printf "%s " "$name"; head -c 65536 "$file" | '
            'sed -n \'s/^ *"version": *"\\([^"]*\\)".*/\\1/p\' | head -n 1; done; done'
        )
        words = owner.command(settings.config_directory, "sh", "-c", look, "sh", *names, seconds=20)
        return f"{owner.shell()}\n{words}"

    @classmethod
    def parse(cls, lines: list[str]) -> Plugins:
        pairs = [line.partition(" ") for line in lines]
        return cls(
            {
                name: release
                for name, _, release in pairs
                if patterns.matches(PACKAGE, name) and patterns.matches(patterns.VERSION, release)
            }
        )


@dataclass(frozen=True)
class Account:
    """An account of a channel, as OpenClaw sees it; `error` is what it said last of that."""

    channel: str
    account: str
    name: str
    enabled: bool
    configured: bool
    running: bool
    connected: bool | None
    error: str


def wanted(settings: Settings, release: str) -> list[tuple[str, str]]:
    """Return the packages that the channels need, each with its release."""
    found = [
        package(name, channel, release)
        for name, channel in settings.channels.items()
        if channel.enabled
    ]
    parts = [one.rpartition("@") for one in found if one]
    return sorted({(name, version) for name, _, version in parts})


@operation
def installed(settings: Settings) -> Generator:
    """Have the gateway install the plugins that its channels need, at their releases.

    + settings: the settings of the host
    """
    there, release = snapshot.of(Plugins).releases, settings.gateway.version
    if settings.gateway.source != "npm":  # another one than the settings name may be in the image
        running = activation.running().version
        release = running if patterns.matches(patterns.VERSION, running) else release
    missing = [one for one in wanted(settings, release) if there.get(one[0]) != one[1]]
    if not missing:
        host.noop("the channels have the plugins that they need")
        return
    specs = [f"{name}@{version}" for name, version in missing]
    script = templates.render("openclaw/plugins.sh.j2", docker=form.shell(settings), specs=specs)
    yield StringCommand("sh -s", _stdin=[script])


@deploy("Gateway configuration")
def install(settings: Settings) -> None:
    """Install what the channels need, once the gateway runs."""
    installed(name="Install the plugins of the channels", settings=settings)


def status(host: Host) -> tuple[Account, ...]:
    """Return the accounts of a host's channels, each asked whether it reaches its service.

    Raises:
        PyinfraError: the gateway does not run, or gave no answer that can be read.
    """
    with waiting("OpenClaw's channels, and their services"):
        return openclaw.ask(
            host, {STATUS: ["channels", "status", "--probe", "--json"]}, accounts_of
        )


def accounts_of(answers: Mapping[str, str]) -> tuple[Account, ...]:
    """Return what `channels status` means."""
    found = openclaw.document(answers, STATUS).get("channelAccounts")
    channels = found.items() if isinstance(found, Mapping) else ()
    return tuple(
        _account(channel, one)
        for channel, accounts in channels
        for one in openclaw.objects(accounts)
    )


def _account(channel: str, one: Mapping[str, Any]) -> Account:
    probe = one.get("probe")
    failed = probe.get("error") if isinstance(probe, Mapping) else None
    connected, reason = one.get("connected"), one.get("stateReason")
    wrong = failed or one.get("lastError") or (reason if reason != NOT_CONFIGURED else "")
    return Account(
        channel=printable(str(channel), 60),
        account=printable(str(one.get("accountId", "")), 60),
        name=printable(str(one.get("name") or ""), 60),
        enabled=one.get("enabled") is not False,
        configured=one.get("configured") is True,
        running=one.get("running") is True,
        connected=connected if isinstance(connected, bool) else None,
        error=printable(str(wrong or ""), 300),
    )
