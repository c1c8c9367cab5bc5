"""What a host was last deployed with, and what later runs make of it."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import Any

import pytest
import yaml
from pyinfra.api.inventory import Inventory
from pyinfra.context import ctx_host

from commandline.verbs import init
from operations import record, recorded
from operations.base.notes import Change
from tests.operations.hosts import FakeHost, commands, knowing
from toolkit.settings import Settings, settings_for
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory


def deployed_with(host: Any, settings: str) -> Any:
    host.state = FakeHost(executing=False).state
    return knowing(host, settings=settings)


def changes(settings: Settings, file: str) -> list[Change]:
    return record.changes(settings, recorded.Recorded.parse([file]))


def problems(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    host = Inventory((["claw1"], {}), override_data=now).get_host("claw1")
    there = record.content(Settings.model_validate(before))
    with ctx_host.use(deployed_with(host, there)):
        return [one.what + one.fix for one in record.weakened(settings_for(host))]


WEAKER = [
    ({"sandbox": {"enabled": True}}, "sandbox.enabled", "false"),
    ({"sandbox": {"enabled": True, "apparmor": "required"}}, "sandbox.apparmor", "off"),
    ({"config_ownership": "managed"}, "config_ownership", "merge"),
    ({"gateway": {"version": "2027.1.1"}}, "gateway.version", "2026.9.6"),
    ({"sandbox": {"tools": {"deny": ["exec"]}}}, "sandbox.tools.deny", "[]"),
]


@pytest.mark.parametrize(("before", "key", "weaker"), WEAKER)
def test_a_protection_is_not_switched_off_in_silence(
    before: dict[str, Any], key: str, weaker: str
) -> None:
    others = {"sandbox.enabled": True} if key == "sandbox.apparmor" else {}
    (said,) = problems(before, others)
    assert said.startswith(f"{key} was ")
    assert f"--set {key}=" in said and "./claw init" in said
    assert problems(before, {**others, key: weaker}) == []  # named


def test_what_protects_more_or_as_much_is_nobodys_business() -> None:
    assert problems({}, {"sandbox.enabled": True, "gateway.version": "2026.9.6"}) == []
    assert problems({"time_zone": "Europe/Berlin"}, {}) == []


def test_a_host_without_a_record_or_with_a_broken_one_has_no_changes() -> None:
    for text in ("", "{", "[1]", '{"sandbox": 3}', "\x00", "[" * 9999):
        assert changes(Settings(), text) == []


def test_a_setting_that_is_gone_is_no_change_and_nothing_to_take_up() -> None:
    """A host that an earlier release has deployed is as it was, and `init` finds only settings."""
    wanted = Settings.model_validate({"time_zone": "Europe/Berlin"})
    before = json.loads(record.content(wanted))
    before["images"]["registry"]["local"] = False
    text = json.dumps(before, indent=1, sort_keys=True)
    assert changes(wanted, text) == []
    assert recorded.Recorded.parse(text.split("\n")).settings == json.loads(record.content(wanted))
    digest = hashlib.sha256(f"{text}\n".encode()).hexdigest()
    there = {"settings": text, "files": f"regular file|600|0:0|{digest}|{recorded.path(wanted)}"}
    assert commands(record.kept, there, settings=wanted) == []
    other = Settings.model_validate({"time_zone": "Europe/Paris"})
    (command,) = commands(record.kept, there, settings=other)
    assert command.stdin == record.content(other)


def test_changes_are_from_and_to_and_hold_no_secret() -> None:
    before = Settings.model_validate(
        {
            "gateway": {"environment": {"A": "canary-1"}, "memory": "4g"},
            "credentials": {"OPENAI_API_KEY": {"command": "echo canary-2"}},
        }
    )
    after = Settings.model_validate({"gateway": {"version": "2026.8.2"}})
    text = record.content(before)
    assert "canary" not in text
    found = {one.key: (one.before, one.after) for one in changes(after, text)}
    assert found["gateway.memory"] == ("4g", "3g")
    assert found["gateway.version"] == ("2026.9.6", "2026.8.2")
    assert "credentials.OPENAI_API_KEY.command" in found


def test_a_release_goes_down_by_number_and_not_by_letter() -> None:
    assert record.lowers_release(Change("gateway.version", "2026.10.1", "2026.9.6"))
    assert not record.lowers_release(Change("gateway.version", "2026.9.6", "2026.10.1"))
    assert not record.lowers_release(Change("gateway.version", "2026.9.6", None))


def test_init_writes_an_inventory_that_means_the_same(tmp_path) -> None:
    deployed = Settings.model_validate(
        {
            "name": "claw",
            "gateway": {"port": 19000, "environment": {"A": "canary"}},
            "sandbox": {"enabled": True, "images": {"common": {"enabled": True}}},
            "credentials": {"OPENAI_API_KEY": {"env": "OPENAI_API_KEY"}},
            "openclaw": {"session": {"dmScope": "main"}},
        }
    )
    reached = {"ssh_hostname": "203.0.113.7", "ssh_user": "root"}
    there = json.loads(record.content(deployed))
    text = init.document({"claw1": (reached, there), "new": ({}, {})}, "fleet.yml", "2026-11-27")
    assert "canary" not in text
    assert "claw1: gateway.environment.A" in text
    assert yaml.safe_load(text)["hosts"]["claw1"]["gateway"] == {
        "version": "2026.9.6",
        "port": 19000,
    }
    file = tmp_path / "fleet.yml"
    file.write_text(text)
    inventory = load_yaml_inventory(file)
    known = settings_for(inventory.get_host("claw1"))
    assert "claw1: credentials.OPENAI_API_KEY" in text
    assert known == deployed.model_copy(
        update={
            "gateway": deployed.gateway.model_copy(update={"environment": {}}),
            "credentials": {},
        }
    )
    assert inventory.get_host("claw1").data.ssh_hostname == "203.0.113.7"


@pytest.mark.parametrize(
    "said",
    [
        {"credentials": {"X_KEY": {"command": "touch canary"}}},
        {"credentials": {"X_KEY": {"file": "/root/.ssh/canary"}}},
        {"credentials": {"X_KEY": {"env": "CANARY"}}},
        {"images": {"registry": {"password": {"command": "canary"}}}},
        {"engine": {"repository_key": "/root/.ssh/canary"}},
        {"sandbox": {"images": {"minimal": {"dockerfile": "/root/.ssh/canary"}}}},
        {"gateway": {"environment": {"A\nhosts: {canary: {}}": "(hidden)"}}},
    ],
)
def test_init_takes_nothing_from_a_host_that_this_machine_would_read_or_run(
    said: dict[str, Any],
) -> None:
    text = init.document({"claw1": ({"ssh_port": 22}, said)}, "fleet.yml", "2026-11-27")
    assert "canary" not in json.dumps(yaml.safe_load(text)).lower()
    assert yaml.safe_load(text)["hosts"]["claw1"] == {"ssh_port": 22}
    assert "#   claw1: " in text


@pytest.mark.parametrize(
    "said",
    [
        {"ssh_hostname": "elsewhere"},
        {"ssh_strict_host_key_checking": "no"},
        {"_sudo_password": "x"},
        {"rollout": {"before": "touch canary"}},
        {"gateway": "x"},
        {"name": ["x"]},
        {"name": "$(id)"},
    ],
)
def test_init_refuses_what_is_no_setting(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="claw1: what it says of its last deploy are no settings"):
        init.document({"claw1": ({}, said)}, "fleet.yml", "2026-11-27")


def test_a_fix_quotes_what_a_host_says_it_had() -> None:
    host = Inventory((["claw1"], {})).get_host("claw1")
    evil = "9999.1.1; touch canary $(id)"
    there = json.dumps({"gateway": {"version": evil}})
    with ctx_host.use(deployed_with(host, there)):
        (one,) = record.weakened(settings_for(host))
    words = shlex.split(one.fix)
    assert any(word.startswith(f"gateway.version={evil}") for word in words)


def test_an_address_keeps_its_login_to_itself() -> None:
    proxy = {"http-proxy": "http://user:canary@127.0.0.1:3128"}
    with_proxy = Settings.model_validate({"engine": {"daemon": {"proxies": proxy}}})
    text = record.content(with_proxy)
    assert "canary" not in text and "127.0.0.1:3128" in text
    assert "canary" not in str(changes(with_proxy, record.content(Settings())))
