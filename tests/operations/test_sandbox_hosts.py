"""What the sandbox settings ask of a host: mount points, binds, networks, other agents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import preflight
from operations.gateway import host_secrets
from operations.sandbox import preflight as checks
from operations.sandbox import workspaces
from tests.operations.hosts import FakeHost, commands
from toolkit.settings import Settings


def settings(sandbox: dict[str, Any] | None = None, **others: Any) -> Settings:
    values = {"enabled": True, "socket": "socket", **(sandbox or {})}
    return Settings.model_validate({"sandbox": values, **others})


# Workspaces


def test_mount_points_of_writable_workspaces_are_made_once_by_their_owner() -> None:
    wanted = settings({"agents": {"main": {"workspace_access": "rw"}, "x": {"preset": "personal"}}})
    mount_points = ".openclaw/sandbox-skills/skills"
    (command,) = commands(workspaces.prepared, {"files": ""}, settings=wanted)
    assert command.stdin.splitlines()[-2:] == [
        f"as_owner 60 /var/lib/openclaw/workspace mkdir -p -- {mount_points}",
        f"as_owner 60 /var/lib/openclaw/config mkdir -p -- workspace-x/{mount_points}",
    ]
    there = "\n".join(f"directory|755|1000:1000|-|{path}" for path in workspaces.paths(wanted))
    assert commands(workspaces.prepared, {"files": there}, settings=wanted) == []
    inside = Settings.model_validate(
        {**wanted.model_dump(), "directories": {"workspace": "/var/lib/openclaw/config/w"}}
    )
    (command,) = commands(workspaces.prepared, {"files": ""}, settings=inside)
    # Root enters no directory that is in one of somebody else's.
    assert f"as_owner 60 /var/lib/openclaw/config mkdir -p -- w/{mount_points}" in command.stdin


@pytest.mark.parametrize("sandbox", [{}, {"enabled": False, "workspace_access": "rw"}])
def test_other_workspaces_need_nothing(sandbox: dict[str, Any]) -> None:
    assert commands(workspaces.prepared, {"files": ""}, settings=settings(sandbox)) == []


# Preflight


def problems(
    monkeypatch: pytest.MonkeyPatch, wanted: Settings, there: dict[str, Any], **answers: str
) -> list[preflight.Problem]:
    content = host_secrets.Private(None, json.dumps(there).encode())
    monkeypatch.setattr(host_secrets, "read", lambda _: content)
    monkeypatch.setattr("operations.base.snapshot.settings_for", lambda _: wanted)
    facts = {"files": "", **answers}
    with ctx_host.use(FakeHost(facts)):
        return [
            *checks.sandbox_problems(wanted),
            *checks.roster_problems(wanted),
        ]


def test_a_bind_of_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings({"agents": {"x": {"container": {"binds": ["/srv/x:/x:ro"]}}}})
    (problem,) = problems(monkeypatch, wanted, {})
    assert problem.stops
    assert "sandbox.agents.x.container.binds: /srv/x does not exist" in problem.what
    assert problems(monkeypatch, wanted, {}, files="directory|755|0:0|-|/srv/x") == []


def test_a_network_has_to_be_there_once_an_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings({"container": {"network": "intern"}})
    (bare,) = problems(monkeypatch, wanted, {})
    (missing,) = problems(
        monkeypatch, wanted, {}, uplink="network bridge false 1500\nnetwork none false "
    )
    assert (bare.stops, missing.stops) == (False, True)
    assert "docker network create intern" in missing.fix
    assert problems(monkeypatch, wanted, {}, uplink="network intern true ") == []
    browsers = settings({"browser": {"enabled": True, "network": "browsers"}})
    (missing,) = problems(monkeypatch, browsers, {}, uplink="network bridge false 1500")
    assert missing.what.startswith("sandbox.browser.network: ")


def test_an_agent_with_sandbox_settings_of_its_own_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {"agents": {"entries": {"bob": {"sandbox": {"mode": "off"}}, "eve": {"sandbox": {}}}}}
    (problem,) = problems(monkeypatch, settings(), there)
    assert not problem.stops and "agent bob" in problem.what and "mode off" in problem.what
    named = settings({"agents": {"bob": {}}})
    assert problems(monkeypatch, named, there) == []
    given = settings(openclaw={"agents": {"entries": {"bob": {"sandbox": {"mode": "off"}}}}})
    assert problems(monkeypatch, given, there) == []
    assert problems(monkeypatch, settings({"enabled": False}), there) == []


def test_an_agent_whose_sandbox_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"agents": {"entries": {"bob": {"sandbox": {"mode": "all"}}}}}
    (problem,) = problems(monkeypatch, settings({"enabled": False}), there)
    assert not problem.stops and "agent bob" in problem.what and "its tools fail" in problem.what
    override = "regular file|644|0:0|x|/opt/openclaw/docker-compose.override.yml"
    assert problems(monkeypatch, settings({"enabled": False}), there, files=override) == []
