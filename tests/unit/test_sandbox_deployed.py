"""What an agent wrote into openclaw.json: what has its form is taken over, the rest is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operations.sandbox import comparison, deployed, doctor
from operations.sandbox.proof import proof, scripted_gateway
from toolkit.settings import Settings

EVIL = "x' 2>/dev/null; touch X; echo '\x1b]52;c;eA==\x07"
PRINTABLE = "x'; touch X; echo '$(touch X)"
WORDS = ("image", "network", "containerPrefix", "user", "memory", "apparmorProfile", "workdir")
RIGHT: dict[str, Any] = {
    "agents": {
        "defaults": {"workspace": "~/.openclaw/workspace", "sandbox": {"mode": "all"}},
        "entries": {
            "main": {"default": True},
            "shop-1": {
                "workspace": "/srv/shop",
                "sandbox": {
                    "workspaceAccess": "rw",
                    "docker": {
                        "image": "registry.example:5000/a/b:1",
                        "network": "none",
                        "memory": "512m",
                        "memorySwap": "-1",
                        "cpus": 1.5,
                        "pidsLimit": 100,
                        "capDrop": ["ALL"],
                        "tmpfs": ["/tmp:size=1m"],
                        "user": "1000:1000",
                        "ulimits": {"nofile": {"soft": 1, "hard": 2}, "core": 0},
                        "env": {"LANG": "C.UTF-8"},
                        "seccompProfile": "/etc/openclaw/seccomp-tools.json",
                        "apparmorProfile": "openclaw-tools",
                        "setupCommand": "echo $(anything) > /tmp/x",
                    },
                    "browser": {"enabled": True, "image": "b:1", "network": "n", "headless": True},
                },
            },
        },
    },
    "tools": {"exec": {"host": "sandbox"}, "deny": ["x"]},
    "channels": {"anything": [None, {}]},
}
DOCKER: dict[str, Any] = {
    "image": EVIL,
    "network": EVIL,
    "containerPrefix": EVIL,
    "workdir": "/a/../b",
    "user": EVIL,
    "capDrop": "ALL",
    "tmpfs": [1],
    "memory": "much",
    "memorySwap": [],
    "cpus": float("inf"),
    "pidsLimit": True,
    "readOnlyRoot": "yes",
    "seccompProfile": "/etc/openclaw/../shadow",
    "apparmorProfile": EVIL,
    "env": [],
    "ulimits": {EVIL: 1},
    "binds": {"a": "b"},
}
WRONG: list[dict[str, Any]] = [
    {"agents": "x"},
    {"agents": ["x"]},
    {"agents": {"defaults": []}},
    {"agents": {"defaults": {"workspace": {"a": 1}}}},
    {"agents": {"defaults": {"sandbox": "x"}}},
    {"agents": {"entries": ["x"]}},
    {"agents": {"entries": {"a": "x"}}},
    {"agents": {"entries": {EVIL: {}}}},
    {"agents": {"entries": {"a": {"workspace": f"/{EVIL}"}}}},
    {"agents": {"entries": {"a": {"sandbox": {"mode": 1}}}}},
    {"agents": {"entries": {"a": {"sandbox": {"docker": "x"}}}}},
    {"agents": {"entries": {"a": {"sandbox": {"browser": {"enabled": 1, "image": EVIL}}}}}},
    {"agents": {"list": {"id": "a"}}},
    {"agents": {"list": ["x", None, {"id": EVIL}, {"name": "a"}]}},
    {"agents": {"entries": {f"a{number}": {} for number in range(deployed.MOST_AGENTS + 1)}}},
    {"agents": {"entries": {PRINTABLE: {}}}},
    {"agents": {"list": [{"id": PRINTABLE}]}},
    {"tools": "x"},
    {"tools": {"exec": "x"}},
    *({"agents": {"defaults": {"sandbox": {"docker": {key: PRINTABLE}}}}} for key in WORDS),
    *({"agents": {"defaults": {"sandbox": {"docker": {key: DOCKER[key]}}}}} for key in DOCKER),
    *({"agents": {"list": [{"id": "a", "sandbox": {"docker": {k: DOCKER[k]}}}]}} for k in DOCKER),
]


def test_what_openclaw_documents_is_taken_as_it_is() -> None:
    assert deployed.of(RIGHT) == deployed.Deployed(RIGHT)


@pytest.mark.parametrize("given", WRONG)
def test_what_has_another_form_is_named_and_not_used(given: dict[str, Any]) -> None:
    settings = Settings.model_validate({"sandbox": {"enabled": True}})
    found = deployed.of(given)
    assert found.wrong
    assert not any(EVIL in one or "\x1b" in one or "\n" in one for one in found.wrong)
    assert EVIL not in json.dumps(found.configuration)
    configuration = scripted_gateway.configuration(found.configuration, settings)
    plan = scripted_gateway.plan(configuration, settings, "nonce")
    for one in plan["turns"]:
        sandbox = comparison.policy(configuration, one["agent"])
        assert all("touch" not in image for image in scripted_gateway.images(sandbox))
        assert not any("shadow" in path for path in proof.profile_paths(settings, sandbox))
        comparison.compare(sandbox, {}, comparison.Surroundings(), browser=True)
    doctor.workspaces(settings, found.configuration)


@pytest.mark.parametrize("given", [{}, {"agents": None}, {"agents": {"entries": {}}}])
def test_nothing_is_nothing_wrong(given: dict[str, Any]) -> None:
    assert deployed.of(given).wrong == ()
