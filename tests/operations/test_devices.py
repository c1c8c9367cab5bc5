"""What a host says of devices and senders, and which one of them is meant."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from commandline import approving, asking
from commandline.asking import Answer
from commandline.verbs import devices as verb
from commandline.verbs import pairing
from operations import devices, openclaw
from operations.devices import Device, Devices, Sender, Senders
from toolkit import patterns
from toolkit.settings import Settings

NOW = 1_795_982_700
ASKS = {
    "requestId": "0c640de6-b9b1",
    "deviceId": "448f04ff",
    "displayName": "Phone",
    "platform": "android",
    "roles": ["operator"],
    "scopes": ["operator.read"],
    "remoteIp": "10.90.128.2",
    "ts": (NOW - 90) * 1000 + 7,
}
ACTS = "\x1b[31mred\u202e"


def listed(*pending: dict[str, Any], said: str = "") -> Devices:
    text = said + json.dumps({"pending": list(pending), "paired": [{"deviceId": "ab"}]})
    return devices.devices_of({openclaw.NOW: f"{NOW}\n", devices.LIST: text})


def test_a_request_has_its_origin_and_age() -> None:
    found = listed(ASKS, said="warning: something\n")
    assert found.pending == (
        Device(
            "448f04ff",
            "0c640de6-b9b1",
            "Phone",
            "android",
            ("operator",),
            ("operator.read",),
            "10.90.128.2",
            90,
        ),
    )
    assert [one.id for one in found.paired] == ["ab"] and not found.paired[0].request


@pytest.mark.parametrize(
    "changed",
    [
        {"displayName": ACTS, "platform": ACTS},
        {"displayName": "x" * 5000},
        {"displayName": ["x"], "platform": 7, "roles": ACTS, "scopes": [ACTS, None]},
        {"remoteIp": ACTS, "ts": "then"},
        {"remoteIp": None, "ts": float("nan")},
        {"ts": 10**400, "isRepair": "yes"},
    ],
)
def test_what_a_device_says_of_itself_is_text_or_nothing(changed: dict[str, Any]) -> None:
    (one,) = listed(ASKS | changed).pending
    assert one.request == ASKS["requestId"]
    text = " ".join(map(str, (one.name, one.platform, *one.roles, *one.scopes, one.address)))
    assert text.isprintable() and len(text) < 300
    assert one.age_seconds is None or one.age_seconds >= 0


@pytest.mark.parametrize("identifier", ["--all", "a b", "", None, ["x"], "a" * 500, "x;reboot"])
@pytest.mark.parametrize("key", ["requestId", "deviceId"])
def test_an_id_that_could_be_something_else_is_refused(key: str, identifier: Any) -> None:
    with pytest.raises(patterns.MismatchError):
        listed(ASKS | {key: identifier})


@pytest.mark.parametrize("said", ["", "no", "[]", "{", '{"pending": 7}'])
def test_an_answer_that_is_none_is_an_error_or_nobody(said: str) -> None:
    answers = {openclaw.NOW: str(NOW), devices.LIST: said}
    if said.endswith("7}"):
        assert devices.devices_of(answers) == Devices()
    else:
        with pytest.raises(patterns.MismatchError):
            devices.devices_of(answers)


def test_senders_of_each_channel_and_the_channels_without_a_list() -> None:
    request = {
        "id": "42",
        "code": "ABCD2345",
        "createdAt": "2026-11-29T20:03:00.000Z",
        "meta": {"name": ACTS, "accountId": "work"},
    }
    said = {
        openclaw.NOW: str(NOW),
        "telegram": json.dumps({"channel": "telegram", "requests": [request]}),
        "nostr": "\n",
    }
    found = devices.senders_of(said)
    assert found.unlisted == ("nostr",)
    (one,) = found.pending
    assert (one.channel, one.code, one.sender, one.account) == (
        "telegram",
        "ABCD2345",
        "42",
        "work",
    )
    assert one.name.isprintable() and one.age_seconds == 120


def test_only_channels_with_names_of_channels_are_asked() -> None:
    configuration = {
        "channels": {
            "telegram": {},
            "whatsapp": {"enabled": False},
            "defaults": {},
            "--all": {},
            "x;y": {},
            "now": [],
        }
    }
    assert devices.channels_of(configuration) == ["telegram"]
    assert devices.channels_of({"channels": "no"}) == devices.channels_of({}) == []


def test_one_channel_that_has_no_list_does_not_keep_the_others_from_theirs() -> None:
    asked = {"a": ["pairing", "list", "a"], "b": ["pairing", "list", "b"]}
    settings = Settings.model_validate({})
    assert openclaw.script(settings, asked).count("|| exit 1\n") > openclaw.script(
        settings, asked, each=True
    ).count("|| exit 1\n")


def phone(request: str, identifier: str = "d1") -> Device:
    return Device(identifier, request, "Phone", "", ("operator",), (), "", 3)


@pytest.mark.parametrize(
    ("there", "wanted", "means"),
    [
        ({"a": ["r123-1"]}, None, ("a", "r123-1")),
        ({"a": [], "b": ["r123-1"]}, None, ("b", "r123-1")),
        ({"a": ["r123-1", "r124-1"]}, "r124", ("a", "r124-1")),
        ({"a": ["r123-1", "r123"]}, "r123", ("a", "r123")),
        ({"a": None, "b": ["r123-1"]}, "r123-1", ("b", "r123-1")),
        ({"a": ["r123-1"]}, "r12", "none of the devices that ask has the id 'r12'"),
        ({"a": [], "b": []}, None, "there are no devices that ask"),
        ({"a": ["r1"], "b": ["r2"]}, None, "there are 2 devices that ask.*--id ID"),
        ({"a": ["r123"], "b": ["r123"]}, "r123", "there are 2 devices that ask.*--limit HOST"),
        ({"a": None, "b": ["r123-1"]}, None, "no answer from a"),
    ],
)
def test_who_is_meant(
    there: dict[str, list[str] | None],
    wanted: str | None,
    means: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody but the only one there is, or the one that is named; it is done on its host alone."""
    answers = {
        name: Answer(error="gone")
        if ids is None
        else Answer(Devices(tuple(map(phone, ids)), (phone("", "paired"),)))
        for name, ids in there.items()
    }
    done: list[tuple[str, str]] = []

    def ask(session: Any, question: Any, what: str, more: Any) -> Any:
        if not (chosen := more(answers)):
            return answers
        name, further, _ = chosen
        further(name)
        return {name: Answer()}

    class LeftError(Exception):
        pass

    def leave(code: int) -> None:
        raise LeftError(code)

    monkeypatch.setattr(asking, "opened", lambda *_, **__: None)
    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(approving, "leave", leave)
    monkeypatch.setattr(
        devices, "approve", lambda host, device: done.append((host, device.request))
    )
    words = ["approve", "fleet.yml", *(["--id", wanted] if wanted else [])]
    with pytest.raises(LeftError) as left:
        verb.devices.main(words, standalone_mode=False)
    said = capsys.readouterr()
    if isinstance(means, str):
        assert left.value.args == (1,) and not done
        found = said.err.replace("\n", " ")
        assert re.search(means, found), found
    else:
        assert left.value.args == (0,) and done == [means]
        assert said.out == f"{means[0]}: approved Phone (?) from the host, 3 s ago: operator\n"


def test_a_sender_is_described_by_who_he_is_and_where_he_wrote() -> None:
    one = Sender("telegram", "ABCD2345", "42", "work", "Ada", 60)
    assert pairing.described(one) == "42 Ada by telegram work, 1 min ago"
    assert Senders().pending == ()
