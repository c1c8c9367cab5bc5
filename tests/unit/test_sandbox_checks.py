"""Sandbox settings that cannot work together are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.settings import Settings
from toolkit.settings.contradictions import general


def problems(sandbox: dict[str, Any], **others: Any) -> list[str]:
    given = Settings.model_construct(**_parsed(sandbox, others))
    return [f"{found.keys[0]}: {found.message}" for found in general.problems(given)]


def _parsed(sandbox: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Sections are validated one by one, so that their combination can be looked at here."""
    section = {name: field.annotation for name, field in Settings.model_fields.items()}["sandbox"]
    values = {"sandbox": section.model_validate({"enabled": True, **sandbox})}  # type: ignore
    return {**dict(Settings.model_validate(others)), **values}


REFUSED: list[tuple[str, dict[str, Any], str, tuple[str, ...]]] = [
    (
        "apt needs a network, a writable root and root",
        {"container": {"setup_command": "apt-get update && apt-get install -y git"}},
        "sandbox.container.setup_command",
        ("network none", "read_only_root true", "the default is not root", "minimal.apt_packages"),
    ),
    (
        "a download needs a network",
        {"container": {"setup_command": "npm install -g typescript"}},
        "sandbox.container.setup_command",
        ("network none",),
    ),
    (
        "packages belong into the image in use",
        {
            "container": {
                "setup_command": "apt install -y git",
                "user": "0:0",
                "network": "bridge",
            },
            "images": {"common": {"enabled": True}},
        },
        "sandbox.container.setup_command",
        ("read_only_root true", "common.apt_packages"),
    ),
    (
        "an agent's own set-up in the container of all",
        {"agents": {"x": {"container": {"setup_command": "pip install x"}}}},
        "sandbox.agents.x.container.setup_command",
        ("sandbox.container.network none",),
    ),
    (
        "write tools with a read-only workspace",
        {"workspace_access": "ro", "tools": {"allow": ["read", "write", "edit"]}},
        "sandbox.tools.allow",
        ("write, edit", "workspace_access: ro"),
    ),
    (
        "an agent's read-only workspace and the write tools of all",
        {
            "tools": {"allow": ["read", "write"]},
            "agents": {"x": {"workspace_access": "ro"}},
        },
        "sandbox.tools.allow",
        ("for the agent x: allows write", "sandbox.agents.x.workspace_access: ro"),
    ),
    (
        "a shared sandbox has no settings of single agents",
        {"scope": "shared", "agents": {"x": {"container": {"memory": "2g", "memory_swap": "2g"}}}},
        "sandbox.agents.x.container",
        ("sandbox.scope: shared",),
    ),
    (
        "a browser that the allowed tools hide",
        {"browser": {"enabled": True}, "tools": {"allow": ["exec"]}},
        "sandbox.tools.allow",
        ("leaves out `browser`",),
    ),
    (
        "a browser whose tool is denied",
        {"browser": {"enabled": True}, "tools": {"deny": ["group:ui"]}},
        "sandbox.tools.deny",
        ("denies `browser`",),
    ),
    (
        "an agent's browser whose tool is denied for all",
        {"tools": {"deny": ["browser"]}, "agents": {"x": {"browser": {"enabled": True}}}},
        "sandbox.tools.deny",
        ("for the agent x: denies `browser`", "sandbox.agents.x.browser.enabled is true"),
    ),
    ("no tool allowed", {"tools": {"allow": []}}, "sandbox.tools.allow", ("every tool",)),
    (
        "two lists of allowed tools",
        {"tools": {"allow": ["read"], "also_allow": ["docs__*"]}},
        "sandbox.tools.also_allow",
        ("no place beside",),
    ),
    (
        "less memory and swap than memory",
        {"container": {"memory": "2g"}},
        "sandbox.container.memory_swap",
        ("given 1g", "2g (no swap) or more"),
    ),
    (
        "swap without memory",
        {"container": {"memory": None}},
        "sandbox.container.memory_swap",
        ("without sandbox.container.memory",),
    ),
    (
        "tmpfs bigger than memory",
        {"container": {"memory": "256m", "memory_swap": "256m"}},
        "sandbox.container.memory",
        ("336m together",),
    ),
    (
        "an agent without the limit of all",
        {"agents": {"x": {"container": {"pids_limit": None}}}},
        "sandbox.agents.x.container.pids_limit",
        ("(256)",),
    ),
    (
        "workspaces that the engine cannot see",
        {"workspace_root": "/srv/boxes"},
        "sandbox.workspace_root",
        ("/home/node/.openclaw",),
    ),
    (
        "an image of nobody",
        {"images": {"browser": {"source": "image"}}},
        "sandbox.images.browser.image",
        ("missing",),
    ),
    (
        "a Dockerfile that nothing builds",
        {"images": {"minimal": {"dockerfile": "/srv/Dockerfile"}}},
        "sandbox.images.minimal.dockerfile",
        ("source: dockerfile",),
    ),
    (
        "packages for an image of one's own",
        {"images": {"common": {"source": "image", "image": "x", "apt_packages": ["git"]}}},
        "sandbox.images.common.apt_packages",
        ("put the packages into it",),
    ),
    (
        "pnpm without node",
        {"images": {"common": {"enabled": True, "node": False}}},
        "sandbox.images.common.pnpm",
        ("needs sandbox.images.common.node",),
    ),
    (
        "an agent's browser on a network of its own",
        {"browser": {"enabled": True}, "agents": {"x": {"browser": {"network": "y"}}}},
        "sandbox.agents.x.browser.network",
        ("the network of all agents",),
    ),
    (
        "a tmpfs over the workspace",
        {"container": {"tmpfs": ["/workspace:size=1m"]}},
        "sandbox.container.tmpfs",
        ("hide /workspace",),
    ),
    (
        "a tmpfs twice",
        {"container": {"tmpfs": ["/tmp:size=1m", "/tmp"]}},
        "sandbox.container.tmpfs",
        ("twice",),
    ),
]


@pytest.mark.parametrize(
    ("sandbox", "key", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused(sandbox: dict[str, Any], key: str, words: tuple[str, ...]) -> None:
    (said,) = problems(sandbox)
    assert said.startswith(f"{key}: ")
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("bind", "reason"),
    [
        ("/var/lib/openclaw/config:/x:ro", "OpenClaw's state"),
        ("/var/lib:/x:ro", "OpenClaw's state"),
        ("/opt/openclaw/security:/x:ro", "the project directory"),
        ("/var/lib/openclaw/auth:/x:ro", "the auth key"),
        ("/var/run/docker.sock:/x:rw", "the engine's socket"),
        ("/run/user/1000/docker.sock:/x:rw", "/run"),
        ("/var/lib/docker/volumes/x:/x:ro", "/var/lib/docker"),
        ("/etc/ssl:/x:ro", "/etc"),
        ("/:/x:ro", "shows"),
        ("/home/me/.ssh/config:/x:ro", "credentials"),
        ("/srv/x:/workspace/x:ro", "OpenClaw mounts the workspace"),
        ("/srv/x:/agent:ro", "OpenClaw mounts the workspace"),
        ("/srv/x:/etc:ro", "the image's own files"),
    ],
)
def test_refused_binds(bind: str, reason: str) -> None:
    for section in (
        {"container": {"binds": [bind]}},
        {"agents": {"x": {"container": {"binds": [bind]}}}},
    ):
        (said,) = problems(section)
        assert "container.binds: given " in said
        assert reason in said


@pytest.mark.parametrize(
    "sandbox",
    [
        {},
        {"preset": "personal"},
        {"preset": "family-read-only", "browser": {"enabled": False}},
        {"preset": "public-without-tools"},
        {"agents": {"x": {"preset": "personal"}, "y": {"preset": "public-without-tools"}}},
        {"container": {"setup_command": "git config --global init.defaultBranch main"}},
        {"container": {"binds": ["/srv/x:/x:ro", "/var/lib/openclaw/workspace/a:/a:rw"]}},
        {"container": {"memory": None, "memory_swap": None}},
        {"browser": {"enabled": True}, "agents": {"x": {"tools": {"allow": ["read"]}}}},
        {"tools": {"also_allow": ["a__*"]}, "agents": {"x": {"tools": {"allow": ["read"]}}}},
        {"scope": "shared", "agents": {"x": {"mode": "off"}, "y": {"tools": {"deny": ["exec"]}}}},
        {"workspace_root": "/home/node/.openclaw/boxes"},
        {
            "container": {
                "setup_command": "apt-get update && apt-get install -y git",
                "network": "bridge",
                "read_only_root": False,
                "user": "0:0",
            }
        },
    ],
)
def test_accepted(sandbox: dict[str, Any]) -> None:
    assert problems(sandbox) == []


def test_nothing_is_refused_while_sandboxes_are_off() -> None:
    assert problems({"enabled": False, "tools": {"allow": []}}) == []


def test_what_is_wrong_for_all_agents_is_said_once() -> None:
    agents = {"x": {"mode": "all"}, "y": {"workspace_access": "rw"}}
    assert len(problems({"container": {"memory": "2g"}, "agents": agents})) == 1


def test_a_list_of_agents_would_replace_what_is_written() -> None:
    openclaw = {"agents": {"list": [{"id": "x"}]}}
    (said,) = problems({"agents": {"x": {}}}, openclaw=openclaw)
    assert said.startswith("openclaw.agents.list: ")
    assert problems({}, openclaw=openclaw) == []
