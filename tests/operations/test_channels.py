"""Channels in the settings: what becomes of them in openclaw.json, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from commandline.verbs import channels as verb
from operations import channels as plugins
from operations.channels import Plugins, accounts_of
from operations.configuration import channels
from tests.operations.hosts import commands
from toolkit.settings import Settings
from toolkit.settings.contradictions import general
from toolkit.settings.sources.resolve import resolved

WORK = {"name": "Work", "secrets": {"botToken": "WORK"}, "dm_policy": "allowlist"}
GIVEN: dict[str, Any] = {
    "credentials": {"BOT": {"file": "/bot"}, "WORK": {"env": "W"}},
    "channels": {
        "telegram": {
            "secrets": {"botToken": "BOT"},
            "allow_from": ["42"],
            "options": {"groups": {"*": {"requireMention": True}}},
            "accounts": {"work": WORK},
        },
        "discord": {},
        "slack": {"enabled": False},
    },
}


def reference(name: str) -> dict[str, str]:
    return {"source": "env", "provider": "default", "id": name}


def written(settings: Settings, before: Settings | None) -> dict[str, Any]:
    return channels.configuration(settings.channels, resolved(before) if before else {})


def without(*path: str) -> Settings:
    given = Settings.model_validate(GIVEN).model_dump()
    section = given
    for part in path[:-1]:
        section = section[part]
    del section[path[-1]]
    return Settings.model_validate(given)


def test_a_channel_has_its_secrets_by_reference() -> None:
    found = written(Settings.model_validate(GIVEN), None)["channels"]
    assert found["telegram"] == {
        "enabled": True,
        "allowFrom": ["42"],
        "groups": {"*": {"requireMention": True}},
        "botToken": reference("BOT"),
        "accounts": {
            "work": {
                "enabled": True,
                "name": "Work",
                "dmPolicy": "allowlist",
                "botToken": reference("WORK"),
            }
        },
    }
    assert found["slack"] == {"enabled": False}


@pytest.mark.parametrize(
    ("path", "absent"),
    [
        (("channels", "discord"), {"discord": None}),
        (("channels", "telegram"), {"telegram": None}),
        (
            ("channels", "telegram", "accounts", "work"),
            {"telegram": {"accounts": {"work": None}}},
        ),
        (
            ("channels", "telegram", "accounts", "work", "secrets"),
            {"telegram": {"accounts": {"work": {"botToken": None}}}},
        ),
        (("channels", "telegram", "allow_from"), {"telegram": {"allowFrom": None}}),
        (("channels", "telegram", "options"), {"telegram": {"groups": None}}),
    ],
)
def test_what_is_taken_out_is_absent(path: tuple[str, ...], absent: dict[str, Any]) -> None:
    before = Settings.model_validate(GIVEN)
    found = written(without(*path), before)["channels"]

    def nones(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {key: nones(one) for key, one in value.items()}
        return {
            key: one for key, one in kept.items() if one is None or (isinstance(one, dict) and one)
        }

    assert nones(found) == absent


def test_a_channel_with_a_session_is_switched_off_and_then_not_looked_at() -> None:
    before = Settings.model_validate({"channels": {"whatsapp": {"allow_from": ["+15550100"]}}})
    assert written(Settings(), before) == {
        "channels": {"whatsapp": {"enabled": False, "allowFrom": None}}
    }
    assert written(Settings(), Settings()) == {}
    assert written(before, Settings())["channels"]["whatsapp"]["enabled"] is True


def test_no_channel_and_none_before_says_nothing() -> None:
    assert written(Settings(), None) == {}
    recorded = {"channels": {"telegram": "what", "x": {"unknown": 1}}}
    assert channels.configuration({}, recorded) == {"channels": {"telegram": None, "x": None}}


@pytest.mark.parametrize(
    ("changed", "key", "words"),
    [
        ({"channels": {"telegramm": {}}}, "channels.telegramm", "no channel of OpenClaw's own"),
        (
            {"channels": {"telegram": {"secrets": {"botToken": "NONE"}}}},
            "channels.telegram.secrets.botToken",
            "names none of `credentials`, which has the secret itself; accepted: BOT, WORK",
        ),
        (
            {"channels": {"telegram": {"accounts": {"a": {"secrets": {"botToken": "NONE"}}}}}},
            "channels.telegram.accounts.a.secrets.botToken",
            "names none of `credentials`",
        ),
        (
            {"channels": {"matrix": {"options": {"password": "canary"}}}},
            "channels.matrix.options.password",
            "`secrets: {password: NAME}` here",
        ),
        (
            {"channels": {"feishu": {"options": {"a": {"appSecret": "canary"}}}}},
            "channels.feishu.options.a.appSecret",
            "in its place the reference",
        ),
        (
            {"channels": {"telegram": {"accounts": {"a": {"dm_policy": "open"}}}}},
            "channels.telegram.accounts.a.dm_policy",
            'wants `allow_from: ["*"]`',
        ),
    ],
)
def test_a_channel_that_cannot_be_is_named(changed: dict[str, Any], key: str, words: str) -> None:
    settings = Settings.model_validate({**GIVEN, **changed})
    (found,) = general.problems(settings)
    assert found.keys == (key,) and words in found.message
    assert "NONE" not in found.message and "canary" not in found.message


@pytest.mark.parametrize(
    "channel",
    [
        {"secrets": {"botToken": "123456:abc"}},
        {"plugin": "@openclaw/x"},
        {"plugin": "--force"},
        {"accounts": {"a b": {}}},
        {"dm_policy": "everybody"},
        {"token": "x"},
    ],
)
def test_a_value_without_its_form_is_refused(channel: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"channels": {"telegram": channel}})


def test_plugins_are_of_the_release_that_runs() -> None:
    given = {**GIVEN, "channels": {**GIVEN["channels"], "wecom": {"plugin": "@wecom/x@2.0.1"}}}
    settings = Settings.model_validate(given)
    assert plugins.wanted(settings, "2026.9.6") == [
        ("@openclaw/discord", "2026.9.6"),
        ("@wecom/x", "2.0.1"),
    ]
    assert Plugins.script(Settings()) == ""
    said = ["@openclaw/discord 2026.9.6", "x;y 1.2.3", "@wecom/x $(reboot)", "more"]
    assert Plugins.parse(said).releases == {"@openclaw/discord": "2026.9.6"}


@pytest.mark.parametrize(
    ("said", "state", "failed", "error"),
    [
        ({"configured": True, "running": True, "connected": True}, "connected", False, ""),
        (
            {"configured": True, "running": True, "probe": {"error": "Unauthorized\x1b[31m"}},
            "running",
            True,
            "Unauthorized [31m",
        ),
        ({"configured": True, "lastError": "gone"}, "stopped", True, "gone"),
        ({"stateReason": "Duplicate bot token"}, "not set up", True, "Duplicate bot token"),
        ({"stateReason": "not configured"}, "not set up", False, ""),
        ({"enabled": False, "configured": True}, "off", False, ""),
    ],
)
def test_an_account_says_why_it_does_not_reach_its_service(
    said: dict[str, Any], state: str, failed: bool, error: str
) -> None:
    answer = {"channelAccounts": {"telegram": [{"accountId": "default", **said}, 7], "x": 7}}
    (one,) = accounts_of({plugins.STATUS: f"warning\n{json.dumps(answer)}"})
    assert (one.channel, one.account, one.error) == ("telegram", "default", error)
    assert (verb.state(one), verb.failed(one)) == (state, failed)


@pytest.mark.parametrize(
    ("plugins_there", "installs"),
    [
        ("", ["@openclaw/discord@2026.9.6"]),
        ("@openclaw/discord 2026.8.2", ["@openclaw/discord@2026.9.6"]),
        ("@openclaw/discord 2026.9.6", []),
    ],
)
def test_what_is_missing_or_of_another_release_is_installed_by_the_gateway(
    plugins_there: str, installs: list[str]
) -> None:
    settings = Settings.model_validate({**GIVEN, "gateway": {"version": "2026.9.6"}})
    said = commands(plugins.installed, {"plugins": plugins_there}, settings=settings)
    scripts = " ".join(one.stdin for one in said)
    assert re.findall(r"openclaw plugins install (\S+) --pin", scripts) == installs
    assert len(said) == len(installs)
