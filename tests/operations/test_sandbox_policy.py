"""What openclaw.json gets of the sandbox settings, and what turning them off takes away again."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from operations.configuration import agents, sandbox_policy
from operations.configuration import stage as configuration
from operations.engine_access import EngineWay
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.sandbox import presets

OLD = {"version": "2026.2.26"}


def settings(sandbox: dict[str, Any] | None = None, **others: Any) -> Settings:
    """What needs no look at a host, and `sandbox`."""
    values = {"enabled": True, "apparmor": "off", "socket": "socket", **(sandbox or {})}
    return Settings.model_validate({"sandbox": values, **others})


def written(wanted: Settings, there: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return openclaw.json after a merge, as OpenClaw's `config patch` does it (RFC 7396)."""
    there = there or {}
    return agents.patched(there, configuration.owned(wanted, there))


def pending(wanted: Settings, there: dict[str, Any]) -> list[str]:
    return list(configuration.differences(configuration.owned(wanted, there), there))


# What is written


def test_every_knob_has_openclaws_name() -> None:
    container = {
        "workdir": "/work",
        "read_only_root": False,
        "tmpfs": ["/tmp:size=1m"],
        "network": "intern",
        "user": "0:0",
        "capabilities_dropped": ["NET_RAW"],
        "environment": {"A": "b"},
        "setup_command": "echo ${HOME} ${x}",
        "pids_limit": 99,
        "memory": "2g",
        "memory_swap": "3g",
        "cpus": 1.5,
        "ulimits": {"nofile": "1:2"},
        "dns": ["1.1.1.1"],
        "extra_hosts": ["a.example:10.0.0.5"],
        "binds": ["/srv/x:/x:ro"],
    }
    found = written(settings({"container": container}))["agents"]["defaults"]["sandbox"]["docker"]
    assert found == {
        "image": "openclaw-sandbox:bookworm-slim",
        "containerPrefix": "openclaw-sbx-",
        "workdir": "/work",
        "readOnlyRoot": False,
        "tmpfs": ["/tmp:size=1m"],
        "network": "intern",
        "user": "0:0",
        "capDrop": ["NET_RAW"],
        "env": {"LANG": "C.UTF-8", "A": "b"},
        # OpenClaw puts variables of the gateway in place of ${HOME}, and leaves ${x} alone.
        "setupCommand": "echo $${HOME} ${x}",
        "pidsLimit": 99,
        "memory": "2g",
        "memorySwap": "3g",
        "cpus": 1.5,
        "ulimits": {"nofile": "1:2"},
        "dns": ["1.1.1.1"],
        "extraHosts": ["a.example:10.0.0.5"],
        "binds": ["/srv/x:/x:ro"],
        "dangerouslyAllowExternalBindSources": True,
        "seccompProfile": "/etc/openclaw-pyinfra/security/seccomp-tools.json",
    }


def test_another_deployment_has_other_containers_images_and_networks() -> None:
    found = written(settings({"images": {"common": {"enabled": True}}}, name="two"))
    sandbox = found["agents"]["defaults"]["sandbox"]
    assert sandbox["docker"]["image"] == "two-sandbox-common:bookworm-slim"
    assert sandbox["docker"]["containerPrefix"] == "two-sbx-"
    assert sandbox["browser"]["containerPrefix"] == "two-sbx-browser-"
    assert sandbox["browser"]["network"] == "two-sandbox-browser"


def test_profiles_are_named_where_the_gateway_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        security.Profiles, "apparmor", property(lambda self: f"openclaw-{self.kind}")
    )
    docker = written(settings())["agents"]["defaults"]["sandbox"]["docker"]
    assert docker["apparmorProfile"] == "openclaw-tools"
    unconfined = written(settings({"seccomp": "engine"}))["agents"]["defaults"]["sandbox"]["docker"]
    assert "seccompProfile" not in unconfined


def test_both_containers_of_an_agent_with_a_browser_have_the_browsers_profile() -> None:
    agents = {"main": {}, "x": {"browser": {"enabled": False}}}
    found = written(settings({"browser": {"enabled": True}, "agents": agents}))["agents"]
    directory = "/etc/openclaw-pyinfra/security"
    assert found["defaults"]["sandbox"]["docker"]["seccompProfile"].endswith("seccomp-browser.json")
    own = found["entries"]["x"]["sandbox"]["docker"]
    assert own == {"seccompProfile": f"{directory}/seccomp-tools.json"}


@pytest.mark.parametrize(
    ("tools", "lists"),
    [
        ({}, {"alsoAllow": ["browser"]}),
        ({"also_allow": ["docs__*"]}, {"alsoAllow": ["docs__*", "browser"]}),
        ({"allow": ["browser", "exec"]}, {"allow": ["browser", "exec"]}),
        ({"deny": ["exec"]}, {"alsoAllow": ["browser"], "deny": ["exec"]}),
    ],
)
def test_a_browser_is_allowed_to_be_used(tools: dict[str, Any], lists: dict[str, Any]) -> None:
    found = written(settings({"browser": {"enabled": True}, "tools": tools}))
    assert found["tools"]["sandbox"]["tools"] == lists


def test_an_old_release_gets_whole_lists_for_a_browser() -> None:
    found = written(settings({"browser": {"enabled": True}}, gateway=OLD))["tools"]["sandbox"][
        "tools"
    ]
    assert "browser" in found["allow"] and "exec" in found["allow"]
    assert "browser" not in found["deny"] and "gateway" in found["deny"]
    assert "alsoAllow" not in found


def test_novnc_has_the_name_that_the_release_has_for_it() -> None:
    def browser(gateway: dict[str, str], there: dict[str, Any] | None = None) -> dict[str, Any]:
        wanted = settings({"browser": {"novnc": False}}, gateway=gateway)
        return written(wanted, there)["agents"]["defaults"]["sandbox"]["browser"]

    assert browser(OLD)["enableNoVnc"] is False
    upgraded = browser({}, written(settings(gateway=OLD)))
    assert upgraded["noVncEnabled"] is False and "enableNoVnc" not in upgraded


def test_commands_outside_of_a_sandbox_are_errors_where_all_are_sandboxed() -> None:
    assert written(settings())["tools"]["exec"] == {"host": "sandbox"}
    found = written(settings({"agents": {"main": {"mode": "off"}}}))
    assert found["agents"]["entries"]["main"]["tools"]["exec"] == {"host": "auto"}
    found = written(settings({"mode": "non-main", "agents": {"x": {"mode": "all"}}}))
    assert "exec" not in found["tools"]
    assert found["agents"]["entries"]["x"]["tools"]["exec"] == {"host": "sandbox"}
    theirs = {"tools": {"exec": {"host": "node"}}}
    assert written(settings({"mode": "non-main"}), theirs)["tools"]["exec"] == {"host": "node"}


# Single agents


def test_only_what_is_given_for_an_agent_is_written() -> None:
    agents = {"family": {"workspace_access": "ro", "container": {"memory": "512m"}}}
    family = written(settings({"agents": agents}))["agents"]["entries"]["family"]
    assert family == {
        "workspace": "/home/node/.openclaw/workspace-family",
        "sandbox": {"workspaceAccess": "ro", "docker": {"memory": "512m"}},
    }


def test_what_is_not_given_any_more_goes() -> None:
    container = {
        "environment": {"A": "1", "B": "2"},
        "ulimits": {"nofile": "9"},
        "dns": ["1.1.1.1"],
    }
    agents = {"x": {"container": container, "mode": "non-main", "tools": {"deny": ["exec"]}}}
    before = written(settings({"container": container, "agents": agents}))
    less = {"environment": {"A": "1"}}
    after = written(settings({"container": less, "agents": {"x": {"container": less}}}), before)
    docker = after["agents"]["defaults"]["sandbox"]["docker"]
    assert docker["env"] == {"LANG": "C.UTF-8", "A": "1"}
    assert "ulimits" not in docker and "dns" not in docker
    own = after["agents"]["entries"]["x"]
    assert own["sandbox"] == {"docker": {"env": {"A": "1"}}}
    assert not own.get("tools")


def test_an_agents_own_list_is_all_that_it_is_allowed() -> None:
    sandbox = {
        "tools": {"also_allow": ["docs__*"]},
        "agents": {"x": {"tools": {"allow": ["read"]}}},
    }
    found = written(settings(sandbox))["agents"]["entries"]["x"]["tools"]["sandbox"]["tools"]
    assert found == {"allow": ["read"], "alsoAllow": []}


# Again, off, and over it


@pytest.mark.parametrize("gateway", [{}, OLD], ids=["keyed", "list"])
@pytest.mark.parametrize(
    "sandbox",
    [
        {},
        *({"preset": name} for name in presets.NAMES),
        {"agents": {name: {"preset": name} for name in presets.NAMES}},
        {"browser": {"enabled": True}, "agents": {"main": {"mode": "off"}}},
    ],
    ids=str,
)
def test_the_second_run_changes_nothing_and_off_leaves_nothing(
    sandbox: dict, gateway: dict
) -> None:
    theirs: dict[str, Any] = {"agents": {"defaults": {"model": "m"}}}
    on = settings(sandbox, gateway=gateway)
    after = written(on, theirs)
    assert pending(on, after) == []
    off = settings({**sandbox, "enabled": False}, gateway=gateway)
    without = written(off, after)
    # OpenClaw takes half of a configuration for damage.
    assert len(json.dumps(without, indent=2)) > 0.5 * len(json.dumps(after, indent=2))
    assert without["agents"]["defaults"]["sandbox"]["mode"] == "off"
    assert without["agents"]["defaults"]["model"] == "m"
    text = json.dumps(without)
    for left in ("seccomp", "sbx", "bookworm", '"host": "sandbox"', '"mode": "all"'):
        assert left not in text, left
    assert pending(off, without) == []


def test_sandboxes_that_the_toolkit_never_had_are_left_alone() -> None:
    theirs = {"agents": {"defaults": {"sandbox": {"mode": "all", "docker": {"image": "mine"}}}}}
    assert written(Settings(), deepcopy(theirs))["agents"] == theirs["agents"]
    assert sandbox_policy.configuration(Settings(), {}) == {}


def test_the_users_own_keys_win() -> None:
    own = {"agents": {"defaults": {"sandbox": {"docker": {"gpus": "all", "memory": "9g"}}}}}
    wanted = settings(openclaw=own)
    docker = written(wanted)["agents"]["defaults"]["sandbox"]["docker"]
    assert (docker["gpus"], docker["memory"], docker["pidsLimit"]) == ("all", "9g", 256)
    assert pending(wanted, written(wanted)) == []


def test_limits_that_the_engine_cannot_hold_are_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EngineWay, "limits", False)
    wanted = settings({"container": {"cpus": 2}, "agents": {"other": {"container": {"cpus": 1}}}})
    text = json.dumps(written(wanted))
    assert '"readOnlyRoot"' in text
    for limit in ("cpus", "memory", "memorySwap", "pidsLimit"):
        assert f'"{limit}"' not in text
