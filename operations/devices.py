"""Who asks to be let in, and who is: devices, and senders of messages, by OpenClaw's own commands
(docs: cli/devices, cli/pairing).

A device asks after it has given the right token, and is told `1008: pairing required` until it is
let in; its request is forgotten after five minutes. What is said here was written by the devices
and senders themselves: only ids of a form are taken, and all else is text to be shown.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyinfra.api.host import Host

from operations import openclaw
from operations.base.answers import printable
from operations.base.preflight import Problem
from operations.base.waits import waiting
from toolkit import patterns

ID = r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}"
CHANNEL = r"[a-z][a-z0-9_-]{0,63}"
LIST = "list"
MOST_CHANNELS = 30
_WORD = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
_TEXT = 60


@dataclass(frozen=True)
class Device:
    """A device that asks (`request` is what it is approved by), or one that is let in.

    `address`: where it came from as the gateway saw it, '' for the host itself; `age_seconds`:
    since it asked, or was let in. `repair`: it was let in before, and asks for something else.
    """

    id: str
    request: str
    name: str
    platform: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    address: str
    age_seconds: int | None
    repair: bool = False


@dataclass(frozen=True)
class Devices:
    """Those that ask, the latest first, and those that are let in."""

    pending: tuple[Device, ...] = ()
    paired: tuple[Device, ...] = ()


@dataclass(frozen=True)
class Sender:
    """Who wrote to a channel and waits for `code` to be approved; all else is what he says."""

    channel: str
    code: str
    sender: str
    account: str
    name: str
    age_seconds: int | None


@dataclass(frozen=True)
class Senders:
    """Those who wait, and the channels of which OpenClaw has no list."""

    pending: tuple[Sender, ...] = ()
    unlisted: tuple[str, ...] = ()


def devices(host: Host) -> Devices:
    """Return the devices of a host's gateway.

    Raises:
        PyinfraError: it does not run, or gave no answer that can be read.
    """
    with waiting("OpenClaw's list of devices"):
        return openclaw.ask(host, {LIST: ["devices", "list", "--json"]}, devices_of)


def approve(host: Host, device: Device) -> None:
    """Let in a device that asks."""
    openclaw.ask(host, {"approve": ["devices", "approve", device.request, "--json"]}, len)


def revoke(host: Host, device: Device) -> None:
    """Take away a device's tokens and its pairing, and end its connections: it must ask again."""
    openclaw.ask(host, {"remove": ["devices", "remove", device.id, "--json"]}, len)


def problems(answer: str) -> Iterable[Problem]:
    """Yield what `./claw doctor` says of the answer of `devices list`."""
    try:
        asking = len(devices_of({LIST: answer, openclaw.NOW: "0"}).pending)
    except patterns.MismatchError:
        return  # OpenClaw's own doctor has more to say of that
    if asking:
        them = "a device asks" if asking == 1 else f"{asking} devices ask"
        what = f"{them} to be let in, and is told `1008: pairing required` until then"
        yield Problem(what, "./claw devices approve", stops=False)


def senders(host: Host, channels: Iterable[str]) -> Senders:
    """Return who waits to be let in by the channels of a host's gateway."""
    asked = {name: ["pairing", "list", name, "--json"] for name in channels}
    if not asked:
        return Senders()
    with waiting(f"OpenClaw's lists of who wrote by {', '.join(asked)}"):
        return openclaw.ask(host, asked, senders_of, each=True)


def approve_sender(host: Host, sender: Sender) -> None:
    """Let in a sender, and tell him."""
    account = ["--account", sender.account] if sender.account else []
    words = ["pairing", "approve", "--channel", sender.channel, *account, sender.code, "--notify"]
    openclaw.ask(host, {"approve": words}, len)


def channels_of(configuration: Mapping[str, Any]) -> list[str]:
    """Return the channels of an openclaw.json that are switched on."""
    found = configuration.get("channels")
    return [
        name
        for name, channel in (found.items() if isinstance(found, Mapping) else ())
        if patterns.matches(CHANNEL, name)
        and isinstance(channel, Mapping)
        and name not in ("defaults", "modelByChannel")
        and channel.get("enabled") is not False
    ][:MOST_CHANNELS]


def devices_of(answers: Mapping[str, str]) -> Devices:
    """Return what `devices list` means; raises `patterns.MismatchError` where it is no such."""
    found, now = openclaw.document(answers, LIST), openclaw.now(answers)
    return Devices(
        pending=tuple(_device(one, now, ("ts",)) for one in openclaw.objects(found.get("pending"))),
        paired=tuple(
            _device(one, now, ("approvedAtMs", "createdAtMs"))
            for one in openclaw.objects(found.get("paired"))
        ),
    )


def senders_of(answers: Mapping[str, str]) -> Senders:
    """Return what `pairing list` of each channel means; otherwise as `devices_of`."""
    now = openclaw.now(answers)
    said = {name: text for name, text in answers.items() if name and name != openclaw.NOW}
    return Senders(
        pending=tuple(
            _sender(channel, one, now)
            for channel, text in said.items()
            if text.strip()
            for one in openclaw.objects(openclaw.document(said, channel).get("requests"))
        ),
        unlisted=tuple(channel for channel, text in said.items() if not text.strip()),
    )


def _device(one: Mapping[str, Any], now: int, times: tuple[str, ...]) -> Device:
    name = next(
        (one[key] for key in ("operatorLabel", "displayName", "clientId") if one.get(key)), ""
    )
    made = next((one[key] for key in times if one.get(key) is not None), None)
    request = ""
    if "ts" in times:
        request = patterns.matched(ID, one.get("requestId"), "the id of a request")
    return Device(
        id=patterns.matched(ID, one.get("deviceId"), "the id of a device"),
        request=request,
        name=_text(name),
        platform=_text(one.get("platform")),
        roles=_words(one.get("roles") or [one.get("role")]),
        scopes=_words(one.get("scopes")),
        address=_address(one.get("remoteIp")),
        age_seconds=_since_milliseconds(made, now),
        repair=one.get("isRepair") is True,
    )


def _sender(channel: str, one: Mapping[str, Any], now: int) -> Sender:
    meta = one.get("meta") if isinstance(one.get("meta"), dict) else {}
    assert isinstance(meta, dict)
    account, told = str(meta.get("accountId", "")), meta.get("name") or meta.get("username")
    return Sender(
        channel=channel,
        code=patterns.matched(ID, one.get("code"), "a code"),
        sender=_text(meta.get("senderId") or one.get("id")),
        account=account if patterns.matches(ID, account) else "",
        name=_text(told),
        age_seconds=_since(one.get("createdAt"), now),
    )


def _since_milliseconds(moment: object, now: int) -> int | None:
    known = isinstance(moment, int | float) and 0 < moment < 1e15
    return max(0, now - int(moment / 1000)) if known else None  # type: ignore[operator]


def _since(moment: object, now: int) -> int | None:
    try:
        then = datetime.fromisoformat(str(moment).replace("Z", "+00:00"))
        return max(0, now - int(then.timestamp()))
    except (ValueError, OverflowError, OSError):
        return None


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(str(value).partition("%")[0]))
    except ValueError:
        return ""


def _words(value: object) -> tuple[str, ...]:
    found = value if isinstance(value, list) else []
    return tuple(one for one in found if patterns.matches(_WORD, one))[: openclaw.MOST]


def _text(value: object) -> str:
    return printable(value, _TEXT) if isinstance(value, str) else ""
