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

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations.base import snapshot, templates
from operations.base.answers import printable
from operations.base.preflight import Problem
from operations.base.waits import waiting
from operations.gateway import form
from toolkit import patterns
from toolkit.settings import Settings, settings_for

ID = r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}"
CHANNEL = r"[a-z][a-z0-9_-]{0,63}"
SECONDS = 200
"""OpenClaw's command line takes 5 s of processor time to start; so long for each on a busy host."""
LIST, NOW = "list", "@now"
"""Under the latter the host says its own time; no channel has that name."""
MOST = 200
"""How many are looked at of each kind."""
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
        return _asked(host, {LIST: ["devices", "list", "--json"]}, devices_of)


def approve(host: Host, device: Device) -> None:
    """Let in a device that asks."""
    _asked(host, {"approve": ["devices", "approve", device.request, "--json"]})


def revoke(host: Host, device: Device) -> None:
    """Take away a device's tokens and its pairing, and end its connections: it must ask again."""
    _asked(host, {"remove": ["devices", "remove", device.id, "--json"]})


def problems(answer: str) -> Iterable[Problem]:
    """Yield what `./claw doctor` says of the answer of `devices list`."""
    try:
        asking = len(devices_of({LIST: answer, NOW: "0"}).pending)
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
        return _asked(host, asked, senders_of, each=True)


def approve_sender(host: Host, sender: Sender) -> None:
    """Let in a sender, and tell him."""
    account = ["--account", sender.account] if sender.account else []
    words = ["pairing", "approve", "--channel", sender.channel, *account, sender.code, "--notify"]
    _asked(host, {"approve": words})


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


def script(settings: Settings, asked: Mapping[str, list[str]], each: bool = False) -> str:
    """Return the script that runs OpenClaw's command line in the gateway, once for each name.

    + each: what one of them fails with does not keep the others from being asked
    """
    return templates.render(
        "openclaw/asked.sh.j2",
        docker=form.shell(settings),
        asked=asked,
        each=each,
        now=NOW,
        seconds=SECONDS,
    )


def devices_of(answers: Mapping[str, str]) -> Devices:
    """Return what `devices list` means; raises `patterns.MismatchError` where it is no such."""
    found, now = _document(answers, LIST), _now(answers)
    return Devices(
        pending=tuple(_device(one, now, ("ts",)) for one in _objects(found.get("pending"))),
        paired=tuple(
            _device(one, now, ("approvedAtMs", "createdAtMs"))
            for one in _objects(found.get("paired"))
        ),
    )


def senders_of(answers: Mapping[str, str]) -> Senders:
    """Return what `pairing list` of each channel means; otherwise as `devices_of`."""
    now = _now(answers)
    said = {name: text for name, text in answers.items() if name and name != NOW}
    return Senders(
        pending=tuple(
            _sender(channel, one, now)
            for channel, text in said.items()
            if text.strip()
            for one in _objects(_document(said, channel).get("requests"))
        ),
        unlisted=tuple(channel for channel, text in said.items() if not text.strip()),
    )


def _asked(
    host: Host, asked: Mapping[str, list[str]], made_of: Any = dict, each: bool = False
) -> Any:
    wanted = script(settings_for(host), asked, each)
    try:
        return snapshot.ask_several(host, wanted, made_of, SECONDS * max(1, len(asked)) + 60)
    except patterns.MismatchError as error:
        raise PyinfraError(f"OpenClaw's answer cannot be read: {error}") from None


def _document(answers: Mapping[str, str], name: str) -> dict[str, Any]:
    said = answers.get(name, "")
    # What it warns of may come before.
    return patterns.of_json(dict, said[max(0, said.find("{")) :], "OpenClaw's answer as JSON")


def _objects(value: object) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, dict)][:MOST]


def _now(answers: Mapping[str, str]) -> int:
    return int(patterns.matched(patterns.NUMBER, answers.get(NOW, "").strip(), "a time"))


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
    return tuple(one for one in found if patterns.matches(_WORD, one))[:MOST]


def _text(value: object) -> str:
    return printable(value, _TEXT) if isinstance(value, str) else ""
