"""What `./claw doctor` concludes from what a host says; e2e tests break the real thing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operations.images.sandbox.contexts import CONTRACT
from operations.sandbox import doctor, running
from operations.sandbox.seen import Examined
from toolkit.settings import Settings

SETTINGS = Settings.model_validate({"name": "mine", "sandbox": {"enabled": True}})
TOOLS, BROWSER = "mine-sandbox:bookworm-slim", "mine-sandbox-browser:bookworm-slim"
DEPLOYED: dict[str, Any] = {
    "agents": {
        "defaults": {
            "sandbox": {
                "mode": "all",
                "docker": {"image": TOOLS},
                "browser": {"enabled": True, "image": BROWSER},
            }
        }
    }
}
MOUNTS = [
    {"Type": "bind", "Source": "/var/lib/mine/config", "Destination": "/home/node/.openclaw"},
    {
        "Type": "bind",
        "Source": "/var/lib/mine/workspace",
        "Destination": "/home/node/.openclaw/workspace",
    },
]
FINE = {
    "engine": "26.1.5",
    "gateway": "abc",
    f"image {TOOLS}": "sha256:1|<no value>",
    f"image {BROWSER}": f"sha256:2|{CONTRACT}",
    f"start {TOOLS}": "exit 0",
    "mounts": json.dumps(MOUNTS),
    "client": "1000 105\nserver 26.1.5",
    "socket": "105",
    "profiles": "",
    "owners": "",
    "doctor": '{"findings": []}',
    "devices": '{"pending": [], "paired": []}',
}


def found(
    changed: dict[str, str] | None = None, deployed: dict[str, Any] = DEPLOYED
) -> list[tuple[str, str]]:
    answers = {**FINE, **(changed or {})}
    return [
        (one.what, one.fix) for one in doctor.examine(SETTINGS, deployed, Examined.parse(answers))
    ]


def test_nothing_is_wrong():
    assert found() == []


@pytest.mark.parametrize(
    ("answer", "value", "what", "fix"),
    [
        ("engine", "Cannot connect", "the engine does not answer", "systemctl restart docker"),
        ("gateway", "", "the gateway does not run", "./claw up"),
        (f"image {TOOLS}", "", f"the sandbox image {TOOLS} is not on the engine", "./claw up"),
        (
            f"image {BROWSER}",
            "sha256:2|2026-01-01-old",
            "contract is 2026-01-01-old, not 2026-05-12-cdp-relay-auth",
            f"docker image rm --force {BROWSER} && ./claw up",
        ),
        (f"image {BROWSER}", "sha256:2|<no value>", "contract is missing", "./claw up"),
        (
            f"start {TOOLS}",
            'exec: "sh": executable file not found\nexit 127',
            "does not start: exec",
            f"docker run --rm -it --entrypoint sh {TOOLS}",
        ),
        (f"start {TOOLS}", "no python3\nexit 0", "has no python3", "python3"),
        (
            f"start {TOOLS}",
            "hidden /opt/my tools/bin mine\nhidden /opt/my tools/bin mine\nexit 0",
            "tools in /opt/my",
            "/etc/profile.d/",
        ),
        ("client", "1000\nno docker", "no docker command line", "./claw up"),
        (
            "client",
            "1000 104\npermission denied",
            "belongs to group 105, the gateway is in 1000 104",
            "./claw up",
        ),
        ("client", "1000 105\nCannot connect", "cannot use the engine: Cannot", "./claw up"),
        ("profiles", "/etc/x/seccomp-tools.json", "cannot read the profile /etc/x", "./claw up"),
        (
            "owners",
            "root:root 0 /home/node/.openclaw/workspace/notes",
            "/var/lib/mine/workspace/notes belongs to uid 0 (root:root)",
            "find /var/lib/mine/workspace -xdev -execdir chown -h --reference=/var/lib/mine/config",
        ),
        (
            "doctor",
            json.dumps({"findings": [{"severity": "error", "message": "M", "fixHint": "H\nI"}]}),
            "OpenClaw's doctor: M",
            "./claw cli -- doctor",
        ),
        ("doctor", "garbage", "gave no answer", "./claw logs"),
    ],
)
def test_each_cause_is_named_with_its_fix(answer: str, value: str, what: str, fix: str):
    ((said, way_out),) = found({answer: value})
    assert what in said
    assert fix in way_out


def test_a_workspace_that_no_bind_mount_holds():
    outside = {
        "agents": {
            "defaults": DEPLOYED["agents"]["defaults"],
            "entries": {"work": {"workspace": "/srv/work"}},
        }
    }
    ((what, fix),) = found(deployed=outside)
    assert "work: the engine does not know the gateway's path /srv/work" in what
    assert "HOST_DIRECTORY:THAT_PATH:rw" in fix
    volume = [{**MOUNTS[0], "Type": "volume"}, MOUNTS[1]]
    ((what, _),) = found({"mounts": json.dumps(volume)})
    assert "/home/node/.openclaw, which is on a volume" in what


EVIL = "x; rm -rf /etc $(id) ../../../etc/shadow [/red]\x1b[2J"


def test_no_fix_repeats_what_an_agent_or_the_gateway_says():
    """Whatever they say: links, images, paths, agents, hints of a doctor."""
    deployed = {
        "agents": {
            "defaults": {
                "workspace": f"/{EVIL}",
                "sandbox": {
                    "mode": "all",
                    "workspaceRoot": f"/srv/{EVIL}",
                    "docker": {"image": EVIL, "seccompProfile": EVIL},
                    "browser": {"enabled": True, "image": f"b{EVIL}"},
                },
            },
            "entries": {EVIL: {"workspace": f"~/{EVIL}"}},
        }
    }
    mounts = [{"Type": "bind", "Source": f"/{EVIL}", "Destination": f"/home/{EVIL}"}, *MOUNTS]
    hint = {"severity": "error", "message": EVIL, "fixHint": EVIL}
    owners = [f"{EVIL} 0 {EVIL}", f"root:root 0 /home/node/.openclaw/{EVIL}", EVIL, "a b", ""]
    said = [
        {"engine": EVIL},
        {f"start {EVIL}": f"{EVIL}\nexit 1"},
        {f"start {EVIL}": f"hidden {EVIL} x\nhidden /{EVIL} y\nno python3\nexit 0"},
        {f"image {EVIL}": "sha256:1", f"image b{EVIL}": f"sha256:2|{EVIL}"},
        {"client": EVIL, "socket": EVIL, "profiles": EVIL},
        {"owners": "\n".join(owners), "mounts": json.dumps(mounts)},
        {"doctor": json.dumps({"findings": [hint]})},
    ]
    fixes = [fix for one in said for _, fix in found(one, deployed)]
    assert len(fixes) > 15
    for fix in fixes:
        assert not any(word in fix for word in ("rm -rf", "shadow", "red]", "\x1b", "/etc "))
    escaping = {"owners": "root:root 0 /home/node/.openclaw/../../../etc"}
    assert [fix for what, fix in found(escaping) if "belongs to uid 0" in what] == [
        "give it to the gateway's user, after a look at what it is"
    ]


def test_what_every_gateway_in_a_container_has_is_no_finding():
    expected = {"severity": "warning", "requirement": "gateway.bind_network_accessible"}
    assert found({"doctor": json.dumps({"findings": [expected]})}) == []


@pytest.mark.parametrize(
    ("state", "idle", "in_use"),
    [
        ("running", 10.0, True),
        ("running", 299.0, True),
        ("running", 301.0, False),
        ("running", None, True),
        ("exited", None, False),
    ],
)
def test_a_sandbox_is_in_use_as_long_as_openclaw_would_keep_it(
    state: str, idle: float | None, in_use: bool
):
    sandbox = running.Sandbox("n", "agent:main:x", "main", False, "i", state, ("old",), idle)
    assert sandbox.in_use is in_use


def test_idle_times_come_from_openclaws_registry_and_the_hosts_clock():
    containers = {"containers": [{"containerName": "a", "lastUsedAtMs": 990_000}], "browsers": []}
    browsers = {"containers": [], "browsers": [{"containerName": "b", "lastUsedAtMs": 400_000}]}
    answer = f"1000\n{json.dumps(containers, indent=2)}\n{json.dumps(browsers)}\n"
    assert running.parse_idle(answer) == {"a": 10.0, "b": 600.0}
    assert running.parse_idle("1000\n") == {}


def test_a_device_that_asks_is_told_of_with_what_lets_it_in():
    pending = json.dumps({"pending": [{"deviceId": "ab12", "requestId": "r-1", "ts": 1}]})
    ((what, fix),) = found({"devices": pending})
    assert "1008: pairing required" in what and fix == "./claw devices approve"
    assert found({"devices": "not allowed"}) == []
