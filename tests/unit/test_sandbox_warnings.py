"""Sandbox settings that are allowed and yet rarely meant are warned of."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.settings import Settings
from toolkit.settings.contradictions import general


def warnings(sandbox: dict[str, Any]) -> list[str]:
    return list(
        general.warnings(Settings.model_validate({"sandbox": {"enabled": True, **sandbox}}))
    )


@pytest.mark.parametrize(
    ("sandbox", "key", "word"),
    [
        ({"mode": "non-main"}, "sandbox.mode", "beside the gateway"),
        ({"agents": {"x": {"mode": "off"}}}, "sandbox.agents.x.mode", "engine's socket"),
        ({"container": {"user": "0:0"}}, "sandbox.container.user", "root"),
        ({"container": {"user": "5:5"}}, "sandbox.container.user", "own uid or 1000"),
        (
            {"container": {"capabilities_dropped": ["NET_RAW"]}},
            "sandbox.container.capabilities_dropped",
            "default capabilities",
        ),
        ({"container": {"ulimits": {"nproc": "64"}}}, "sandbox.container.ulimits", "pids_limit"),
        ({"container": {"dns": ["1.1.1.1"]}}, "sandbox.container.dns", "without a network"),
        (
            {"container": {"environment": {"API_TOKEN": "canary"}}},
            "sandbox.container.environment.API_TOKEN",
            "secret",
        ),
        (
            {"agents": {"x": {"container": {"environment": {"API_TOKEN": "canary"}}}}},
            "sandbox.agents.x.container.environment.API_TOKEN",
            "secret",
        ),
        (
            {"container": {"tmpfs": ["/tmp"], "memory": None, "memory_swap": None}},
            "sandbox.container.tmpfs",
            "half of the host's memory",
        ),
        (
            {"tools": {"allow": ["read", "exec"], "deny": ["exec"]}},
            "sandbox.tools.allow",
            "exec: stays denied by sandbox.tools.deny",
        ),
        (
            {"tools": {"deny": ["group:fs"]}, "agents": {"x": {"tools": {"allow": ["read"]}}}},
            "sandbox.agents.x.tools.allow",
            "stays denied by sandbox.tools.deny",
        ),
        (
            {"workspace_access": "rw", "tools": {"deny": ["write", "edit"]}},
            "sandbox.tools.deny",
            "`exec` can still write",
        ),
    ],
)
def test_warned_of(sandbox: dict[str, Any], key: str, word: str) -> None:
    (said,) = warnings(sandbox)
    assert said.startswith(f"{key}: ")
    assert word in said and "canary" not in said


@pytest.mark.parametrize(
    "sandbox", [{}, *({"preset": name} for name in ("personal", "family-read-only"))]
)
def test_nothing_to_warn_of(sandbox: dict[str, Any]) -> None:
    assert warnings(sandbox) == []
