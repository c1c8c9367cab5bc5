"""openclaw.json as an agent may write it: any JSON type anywhere is one clear error, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.configuration import agents
from operations.configuration import stage as configuration
from operations.gateway import secrets
from operations.gateway.host_secrets import Private, UnreadableFile
from operations.sandbox import comparison, doctor
from operations.sandbox.proof import scripted_gateway
from operations.sandbox.seen import Examined
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

SANDBOX = {
    "mode": "all",
    "scope": "agent",
    "workspaceAccess": "none",
    "workspaceRoot": "~/w",
    "docker": {
        "image": "x",
        "network": "none",
        "tmpfs": ["/tmp"],
        "capDrop": ["ALL"],
        "binds": ["/a:/b"],
        "env": {"A": "b"},
        "ulimits": {"nofile": {"soft": 1, "hard": 2}},
        "memory": "1g",
        "pidsLimit": 100,
        "cpus": 1,
        "seccompProfile": "/x.json",
    },
    "browser": {"enabled": True, "image": "y", "binds": []},
    "prune": {"idleHours": 1},
}
AGENT = {"workspace": "~/x", "sandbox": SANDBOX, "tools": {"sandbox": {"tools": {"deny": []}}}}
WHOLE: dict[str, Any] = {
    "gateway": {"auth": {"token": "t", "mode": "token"}},
    "agents": {
        "defaults": AGENT,
        "entries": {"main": AGENT, "other": AGENT},
        "list": [{**AGENT, "id": "main"}],
    },
    "tools": {"sandbox": {"tools": {"allow": []}}, "exec": {"host": "sandbox"}},
}
VALUES: list[Any] = [None, True, 7, -1.5, "x", "[/red]\x1b[2J", [], ["x"], [None], {}, {"x": 1}]
SETTINGS = [
    Settings(),
    Settings.model_validate(
        {"sandbox": {"enabled": True, "agents": {"other": {}}, "browser": {"enabled": True}}}
    ),
]


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(snapshot, "settings_for", lambda _: Settings())
    with ctx_host.use(FakeHost({})):
        yield


def replaced(there: Any, value: Any) -> Iterable[Any]:
    """Yield `there` with `value` in the place of each part of it."""
    yield value
    pairs = there.items() if isinstance(there, dict) else enumerate(there)
    for key, below in pairs if isinstance(there, dict | list) else ():
        for one in replaced(below, value) if isinstance(below, dict | list) else [value]:
            copy = there.copy()
            copy[key] = one
            yield copy


def read(settings: Settings, text: str) -> None:
    there = Private(None, text.encode()).configuration()
    assert isinstance(there, dict)
    list(configuration.differences(configuration.owned(settings, there), there))
    secrets.plaintext_token(there)
    agents.of(settings, there)
    proved = scripted_gateway.configuration(there, settings)
    for agent in scripted_gateway.agents(proved):
        comparison.compare(comparison.policy(there, agent), {}, comparison.Surroundings())
    list(doctor.examine(settings, there, Examined("26.1", True, doctor="{}")))


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("settings", SETTINGS, ids=["plain", "sandboxes"])
def test_any_type_anywhere_is_read_or_one_clear_error(settings: Settings, value: Any) -> None:
    for one in replaced(WHOLE, value):
        try:
            read(settings, json.dumps(one))
        except UnreadableFile as error:
            assert str(error).isprintable() and " is not " in str(error), error


def test_what_openclaw_writes_is_read() -> None:
    for settings in SETTINGS:
        read(settings, json.dumps(WHOLE))


def test_the_key_is_named() -> None:
    with pytest.raises(
        UnreadableFile, match=r"^agents\.list\.0\.sandbox\.docker is not an object$"
    ):
        read(Settings(), '{"agents": {"list": [{"id": "x", "sandbox": {"docker": []}}]}}')
