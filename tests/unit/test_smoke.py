"""What `./claw verify --smoke` makes of what the image's container said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operations import smoke
from toolkit.settings import Settings

NONCE = "f0ccfd9252200893"
SQUARES = "\x1b[47m\x1b[30m ▄▄▄▄▄▄▄  ▄ ▄▄   ▄▄   ▄ ▄ ▄▄▄▄▄▄▄ \x1b[0m\n"
MODULES = "\x1b[47m\x1b[30m █ ▄▄▄ █ ▄ █▄▀█▀███▀█▀ █▄ █ ▄▄▄ █ \x1b[0m\n"
TURN = {
    "error": None,
    "seconds": {"ready": 12.6},
    "turns": [{"reply": smoke.REPLY, "results": {"exec": NONCE}, "error": None}],
    "log": "",
}
GOOD = {
    "container": "",
    "onboarding": "ok\n",
    "turn": json.dumps(TURN),
    "qr": f"Pairing QR\n\n{SQUARES}{MODULES * 13}\nSetup code: abc",
    "ended": "0\n",
    "left": "",
}


def judged(**changed: str | None) -> dict[str, tuple[str, str]]:
    answers = {name: text for name, text in {**GOOD, **changed}.items() if text is not None}
    return {one.name: (one.outcome, one.detail) for one in smoke.results(answers, NONCE)}


def test_all_of_it_is_well() -> None:
    found = judged()
    assert list(found) == ["onboarding", "gateway", "turn", "QR code", "nothing left"]
    assert {outcome for outcome, _ in found.values()} == {"ok"}


def turn(**changed: Any) -> str:
    return json.dumps(TURN | changed)


@pytest.mark.parametrize(
    ("changed", "failed", "why"),
    [
        ({"container": "no such image", "onboarding": None}, "container", "no such image"),
        ({"onboarding": "cannot\x1b[31m\nexit 1", "turn": None}, "onboarding", "exit 1"),
        (
            {"turn": turn(error="the gateway ended (78)", log="why")},
            "gateway",
            "(78); its log: why",
        ),
        ({"turn": turn(turns=[])}, "gateway", "no answer that can be read"),
        ({"turn": "[1]"}, "gateway", "no answer that can be read"),
        ({"turn": turn(turns=[{"reply": "hm", "error": None}])}, "turn", "'hm'"),
        ({"turn": turn(turns=[{"reply": "", "error": "HTTP 500"}])}, "turn", "HTTP 500"),
        ({"qr": "Setup code: abc"}, "QR code", "none is drawn: Setup code"),
        ({"qr": MODULES * 20}, "QR code", "none is drawn"),
        ({"qr": SQUARES + "█ " * 45 + "\n" + MODULES * 13}, "QR code", "89 columns wide"),
        ({"qr": None, "ended": "137"}, "container", "'137'"),
        ({"left": "0123456789ab"}, "nothing left", "0123456789ab"),
    ],
)
def test_what_fails_is_named_and_said(
    changed: dict[str, str | None], failed: str, why: str
) -> None:
    found = judged(**changed)
    wrong = {name: detail for name, (outcome, detail) in found.items() if outcome == "failed"}
    assert list(wrong) == [failed]
    assert why in wrong[failed] and wrong[failed].isprintable()


def test_its_container_gets_nothing_of_the_host_or_the_deployment() -> None:
    settings = Settings.model_validate({"credentials": {"SOME_API_KEY": {"file": "/s3cret"}}})
    script = smoke.script(settings, NONCE)
    run = script.partition("docker run --rm")[2].partition("\n  --entrypoint")[0]
    assert "--network none" in run and "--read-only" in run and "--cap-drop ALL" in run
    assert " -v " not in run and "--mount" not in run and "--volume" not in run
    assert "s3cret" not in script and "SOME_API_KEY" not in run
