"""The sandbox policy and the release that has to take it: OpenClaw's own validator is the judge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import hosts as lab
from operations.configuration import sandbox_policy
from operations.configuration import stage as configuration
from tests.e2e.harness import Deployment
from toolkit.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.whole]

WITHOUT_HOST = {"apparmor": "off", "socket": "socket"}
"""What decides without a look at a host."""
# Every key, and every preset for some agent.
MAXIMAL: dict[str, Any] = {
    "enabled": True,
    "mode": "all",
    "scope": "session",
    "workspace_access": "rw",
    "workspace_root": "/home/node/.openclaw/boxes",
    "session_tools_visibility": "all",
    **WITHOUT_HOST,
    "container": {
        "workdir": "/work",
        "read_only_root": False,
        "tmpfs": ["/tmp"],
        "network": "intern",
        "user": "0:0",
        "capabilities_dropped": ["NET_RAW", "SYS_ADMIN"],
        "environment": {"A": "b"},
        "setup_command": "echo ${HOME} ${x} $(id)",
        "pids_limit": 99,
        "memory": "2g",
        "memory_swap": "3g",
        "cpus": 1.5,
        "ulimits": {"nofile": "1024:2048", "core": "0", "memlock": "-1"},
        "dns": ["1.1.1.1"],
        "extra_hosts": ["a.example:10.0.0.5"],
        "binds": ["/srv/x:/x:ro"],
    },
    "browser": {
        "enabled": True,
        "headless": True,
        "novnc": False,
        "network": "browsers",
        "source_range": "172.21.0.1",
    },
    "tools": {"also_allow": ["docs__*", "group:memory"], "deny": ["canvas"]},
    "prune": {"idle_hours": 0, "max_age_days": 1},
    "agents": {
        "family": {"preset": "family-read-only"},
        "public": {"preset": "public-without-tools"},
        "off": {"mode": "off"},
        "more": {
            "preset": "personal",
            "container": {"environment": {"C": "1"}, "ulimits": {"nofile": "5"}},
            "browser": {"enabled": False},
        },
    },
}
_MERGED = """
mkdir -p /tmp/config
export OPENCLAW_STATE_DIR=/tmp/state OPENCLAW_CONFIG_PATH=/tmp/config/openclaw.json
printf %s "$THERE" >$OPENCLAW_CONFIG_PATH
if [ -n "$PATCH" ]; then
  printf %s "$PATCH" | openclaw config patch --stdin --replace-path gateway.auth.token >&2
fi
"""
_VALID = "openclaw config validate >&2; cat $OPENCLAW_CONFIG_PATH"
_EXPLAINED = "openclaw sandbox explain --agent {} --json"


def accepted(
    gateway: Deployment,
    there: dict[str, Any],
    patch: dict[str, Any] | None = None,
    then: str = _VALID,
) -> Any:
    """Return openclaw.json, or what else `then` prints, after the release has merged `patch`."""
    given = {"THERE": there, "PATCH": patch, "OPENCLAW_GATEWAY_TOKEN": "token"}
    answer = lab.output(
        f"{gateway.name}:local",
        ["-euc", _MERGED + then],
        entrypoint=["sh"],
        network_mode="none",
        environment={name: "" if one is None else json.dumps(one) for name, one in given.items()},
    )
    return json.loads(answer)


def test_the_release_takes_every_knob_keeps_it_and_loses_it_again(gateway: Deployment) -> None:
    on = Settings.model_validate({"gateway": {"uid": 1000}, "sandbox": MAXIMAL})
    found = accepted(gateway, {}, configuration.owned(on))
    assert list(configuration.differences(configuration.owned(on, found), found)) == []
    assert found["agents"]["entries"]["main"]["workspace"] == "/home/node/.openclaw/workspace"
    off = Settings.model_validate(
        {"gateway": {"uid": 1000}, "sandbox": {**MAXIMAL, "enabled": False}}
    )
    without = accepted(gateway, found, configuration.owned(off, found))
    assert without["agents"]["defaults"]["sandbox"]["mode"] == "off"
    assert sandbox_policy.configuration(off, without) == {}
    assert "/etc/openclaw-pyinfra" not in json.dumps(without)


def test_the_release_understands_it_as_it_is_meant(gateway: Deployment) -> None:
    sandbox = {
        "enabled": True,
        **WITHOUT_HOST,
        "preset": "personal",
        "browser": {"enabled": True},
        "agents": {"family": {"preset": "family-read-only"}},
    }
    found = configuration.owned(
        Settings.model_validate({"gateway": {"uid": 1000}, "sandbox": sandbox})
    )

    main = accepted(gateway, found, then=_EXPLAINED.format("main"))["sandbox"]
    (workspace,) = main["workspaceMounts"]
    assert workspace["hostRoot"] == "/home/node/.openclaw/workspace" and workspace["writable"]
    assert main["sessionIsSandboxed"] and {"exec", "browser"} <= set(main["tools"]["allow"])
    assert "browser" not in main["tools"]["deny"]

    family = accepted(gateway, found, then=_EXPLAINED.format("family"))["sandbox"]
    assert not any(mount["writable"] for mount in family["workspaceMounts"])
    assert {"read", "ls"} <= set(family["tools"]["allow"])
    for tool in ("exec", "write", "edit", "apply_patch", "browser"):
        assert tool in family["tools"]["deny"] and tool not in family["tools"]["allow"]


def test_the_release_refuses_what_it_does_not_know(gateway: Deployment) -> None:
    """Else the tests above would say nothing."""
    wrong = {"agents": {"defaults": {"sandbox": {"docker": {"privileged": True}}}}}
    with pytest.raises(lab.LabError, match="privileged"):
        accepted(gateway, wrong)
