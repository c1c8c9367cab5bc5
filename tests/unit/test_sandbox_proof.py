"""What the proof makes of openclaw.json, of `docker inspect`, and of a sandbox's own words."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from operations.base.check import Check
from operations.sandbox import comparison
from operations.sandbox.proof import inside, proof, scripted_gateway
from operations.sandbox.seen import Driven
from toolkit.settings import Settings

SETTINGS = Settings.model_validate({"name": "mine", "sandbox": {"enabled": True}})
PROFILE = "/etc/openclaw-pyinfra/security/seccomp-tools.json"
SANDBOX: dict[str, Any] = {
    "mode": "all",
    "scope": "agent",
    "workspaceAccess": "none",
    "docker": {
        "image": "mine-sandbox:bookworm-slim",
        "containerPrefix": "mine-sbx-",
        "user": "1000:1000",
        "tmpfs": ["/tmp:rw,nosuid,size=64m"],
        "pidsLimit": 256,
        "memory": "1g",
        "memorySwap": "1g",
        "cpus": 1.5,
        "seccompProfile": PROFILE,
        "ulimits": {"nofile": {"soft": 1024, "hard": 2048}, "core": "0"},
    },
}
DEPLOYED: dict[str, Any] = {
    "gateway": {"port": 18789, "remote": {"token": "canary"}},
    "channels": {"telegram": {"botToken": "canary"}},
    "models": {"providers": {"openai": {"apiKey": "canary"}}},
    "tools": {"web": {"search": {"apiKey": "canary"}}, "exec": {"host": "sandbox"}},
    "agents": {
        "ownership": "explicit",
        "defaults": {"sandbox": SANDBOX, "workspace": "~/elsewhere"},
        "entries": {
            "main": {"default": True, "identity": {"name": "Me"}},
            "family": {"sandbox": {"workspaceAccess": "ro", "docker": {"pidsLimit": 64}}},
            "own": {"sandbox": {"mode": "off"}},
        },
    },
}
CONTAINER: dict[str, Any] = {
    "Name": "/mine.proof-sbx-x",
    "Image": "sha256:1111",
    "AppArmorProfile": "",
    "Config": {
        "Image": "mine-sandbox:bookworm-slim",
        "User": "1000:1000",
        "Labels": {"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:main:workspace:abc"},
    },
    "HostConfig": {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "Privileged": False,
        "NetworkMode": "none",
        "PidsLimit": 256,
        "Memory": 1 << 30,
        "MemorySwap": 1 << 30,
        "NanoCpus": 1_500_000_000,
        "SecurityOpt": ["no-new-privileges", 'seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'],
        "Tmpfs": {"/tmp": "rw,nosuid,size=64m"},
        "Ulimits": [
            {"Name": "nofile", "Soft": 1024, "Hard": 2048},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "Devices": [],
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
    },
    "Mounts": [
        {"Source": "/var/lib/mine/proof-x/config/w", "Destination": "/workspace", "RW": True}
    ],
}
AROUND = comparison.Surroundings(
    images={"mine-sandbox:bookworm-slim": "sha256:1111"},
    profiles={PROFILE: '{\n "defaultAction": "SCMP_ACT_ERRNO"\n}'},
    sockets=frozenset({"/run/docker.sock"}),
    roots=("/var/lib/mine/proof-x",),
)


def wrong(container: dict[str, Any], around: comparison.Surroundings = AROUND) -> dict[str, str]:
    found = comparison.compare(SANDBOX, container, around)
    return {knob.name: knob.found for knob in found if not knob.right}


def test_a_container_as_configured_has_nothing_wrong():
    assert wrong(CONTAINER) == {}


@pytest.mark.parametrize(
    ("key", "value", "knob"),
    [
        ("ReadonlyRootfs", False, "read-only root"),
        ("CapDrop", [], "capabilities dropped"),
        ("CapAdd", ["NET_ADMIN"], "capabilities added"),
        ("Privileged", True, "privileged"),
        ("NetworkMode", "bridge", "network"),
        ("PidsLimit", None, "pids"),
        ("Memory", 0, "memory"),
        ("MemorySwap", 2 << 30, "memory and swap"),
        ("NanoCpus", 0, "cpus"),
        ("SecurityOpt", ["no-new-privileges"], "seccomp"),
        ("SecurityOpt", ["no-new-privileges", "seccomp=unconfined"], "seccomp"),
        ("SecurityOpt", ["no-new-privileges", 'seccomp={"defaultAction":"x"}'], "seccomp"),
        (
            "SecurityOpt",
            ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'],
            "no-new-privileges",
        ),
        ("Tmpfs", {}, "tmpfs"),
        ("Ulimits", [], "ulimits"),
        ("Devices", [{"PathOnHost": "/dev/kmsg"}], "devices"),
        ("PidMode", "host", "shared namespaces"),
        ("IpcMode", "host", "shared namespaces"),
    ],
)
def test_each_knob_that_differs_is_seen(key: str, value: object, knob: str):
    container = copy.deepcopy(CONTAINER)
    container["HostConfig"][key] = value
    assert list(wrong(container)) == [knob]


def test_what_is_outside_the_host_configuration_is_seen():
    container = copy.deepcopy(CONTAINER)
    container["Image"] = "sha256:2222"
    container["Config"]["User"] = ""
    socket = {"Source": "/run/docker.sock", "Destination": "/x", "RW": True}
    container["Mounts"].append(socket)
    assert wrong(container) == {
        "image id": "2222",
        "user": "root",
        "engine's socket": "/run/docker.sock",
        "mounts": "/run/docker.sock",
    }


def test_an_agents_own_keys_are_laid_over_the_common_ones():
    family = comparison.policy(DEPLOYED, "family")
    assert family["workspaceAccess"] == "ro"
    assert family["docker"]["pidsLimit"] == 64
    assert family["docker"]["memory"] == "1g"
    listed = {"agents": {"defaults": {}, "list": [{"id": "a", "sandbox": {"mode": "all"}}]}}
    assert comparison.policy(listed, "a") == {"mode": "all"}
    shared = copy.deepcopy(DEPLOYED)
    shared["agents"]["defaults"]["sandbox"]["scope"] = "shared"
    assert comparison.policy(shared, "family")["docker"]["pidsLimit"] == 256


@pytest.mark.parametrize(
    ("value", "expected"), [("1g", 1 << 30), ("512m", 512 << 20), (1024, 1024), (None, None)]
)
def test_sizes_are_dockers(value: object, expected: int | None):
    assert comparison.size(value) == expected


def test_the_proof_takes_the_policy_over_and_nothing_else():
    made = scripted_gateway.configuration(DEPLOYED, SETTINGS)
    assert "canary" not in json.dumps(made)
    assert "channels" not in made
    docker = made["agents"]["defaults"]["sandbox"]["docker"]
    assert docker["containerPrefix"] == "mine.proof-sbx-"
    same = {key: value for key, value in docker.items() if key != "containerPrefix"}
    assert same == {
        key: value for key, value in SANDBOX["docker"].items() if key != "containerPrefix"
    }
    assert made["tools"]["exec"] == {"host": "sandbox"}
    assert made["agents"]["entries"]["main"] == {"default": True}
    assert DEPLOYED["agents"]["defaults"]["sandbox"]["docker"]["containerPrefix"] == "mine-sbx-"


def test_the_default_agent_and_those_with_a_sandbox_of_their_own_take_a_turn():
    assert scripted_gateway.agents(scripted_gateway.configuration(DEPLOYED, SETTINGS)) == [
        "main",
        "family",
    ]


def test_the_proofs_gateway_is_as_closed_as_the_deployed_one():
    there = {
        "SecurityOpt": ["no-new-privileges:true", "seccomp={}"],
        "GroupAdd": ["105"],
        "CapDrop": ["ALL"],
        "ReadonlyRootfs": True,
        "PortBindings": {"18789/tcp": [{"HostPort": "18789"}]},
        "NetworkMode": "claw-mine",
        "RestartPolicy": {"Name": "unless-stopped"},
        "Mounts": [
            {"Type": "bind", "Source": "/var/lib/mine/config", "Target": "/home/node/.openclaw"},
            {"Type": "bind", "Source": "/run/docker.sock", "Target": "/var/run/docker.sock"},
        ],
        "Binds": ["/srv/photos:/home/node/photos:ro"],
    }
    plan = scripted_gateway.plan(scripted_gateway.configuration(DEPLOYED, SETTINGS), SETTINGS, "n")
    body = scripted_gateway.container(
        there, "sha256:9", {"HOME": "/home/node"}, "/proof", plan, "58007:58007"
    )
    made = body["HostConfig"]
    assert body["User"] == "58007:58007"
    assert made["Tmpfs"]["/home/node/.cache"].startswith("uid=58007,gid=58007,")
    kept = ("SecurityOpt", "GroupAdd", "CapDrop", "ReadonlyRootfs")
    assert {key: made[key] for key in kept} == {key: there[key] for key in kept}
    assert [(one["Source"], one["Target"]) for one in made["Mounts"]] == [
        ("/run/docker.sock", "/var/run/docker.sock"),
        ("/proof/config", "/home/node/.openclaw"),
        ("/proof/auth", "/home/node/.config/openclaw"),
    ]
    assert (made["Binds"], made["PortBindings"]) == ([], {})
    assert (made["NetworkMode"], made["RestartPolicy"]) == ("none", {"Name": "no"})


INSIDE: dict[str, Any] = {
    "nonce": "n1",
    "user": "1000:1000",
    "capabilities": "0000000000000000",
    "no_new_privileges": "1",
    "seccomp": "2",
    "root_write": "EROFS",
    "etc_write": "EROFS",
    "workdir": "/workspace",
    "workspace_write": "done",
    "agent_write": "absent",
    "interfaces": [],
    "connect": "ENETUNREACH",
    "sockets": [],
    "unshare": "EPERM",
    "mount": "EPERM",
    "memory": [str(1 << 30)],
    "pids": ["256"],
    "cpu": ["150000", "100000"],
    "tools": {},
}


def seen(changed: dict[str, Any], nonce: str = "n1") -> dict[str, Check]:
    answer = f"some banner\nopenclaw-proof {json.dumps({**INSIDE, **changed})}\n"
    taken = {"results": {"exec": answer}}
    return {check.name: check for check in inside.checks(taken, SANDBOX, nonce, "g")}


def test_a_sandbox_that_keeps_its_promises():
    assert {check.outcome for check in seen({}).values()} == {"ok"}


@pytest.mark.parametrize(
    ("changed", "name", "outcome"),
    [
        ({"user": "0:0"}, "user inside", "failed"),
        ({"capabilities": "00000000a80425fb"}, "capabilities inside", "failed"),
        ({"seccomp": "0"}, "system call filter inside", "failed"),
        ({"root_write": "done"}, "write to /", "failed"),
        ({"workspace_write": "EACCES"}, "write to the workspace", "failed"),
        ({"interfaces": ["eth0"]}, "network interfaces", "failed"),
        ({"connect": "done"}, "connect to the outside", "failed"),
        ({"sockets": ["/var/run/docker.sock"]}, "engine's socket inside", "failed"),
        ({"mount": "EFAULT"}, "system call mount", "failed"),
        ({"unshare": "done"}, "system call unshare", "failed"),
        ({"memory": ["max"]}, "memory inside (MiB)", "unknown"),
        ({"pids": []}, "pids inside", "unknown"),
        ({"cpu": ["max", "100000"]}, "cpus inside", "unknown"),
    ],
)
def test_a_broken_promise_is_named(changed: dict[str, Any], name: str, outcome: str):
    found = seen(changed)
    assert {key for key, check in found.items() if check.outcome != "ok"} == {name}
    assert found[name].outcome == outcome
    assert found[name].detail


def test_an_answer_of_another_run_does_not_count():
    (check,) = seen({}, nonce="n2").values()
    assert (check.name, check.outcome) == ("exec", "failed")


def test_a_page_counts_when_its_title_is_read_twice():
    results = {"open": "opened", "title": "openclaw-proof-n1", "tabs": "nothing"}
    (check,) = inside.browser_checks({"results": results}, "n1", "g", True)
    assert check.outcome == "failed"
    results["tabs"] = '[{"title": "openclaw-proof-n1"}]'
    (check,) = inside.browser_checks({"results": results}, "n1", "g", True)
    assert check.outcome == "ok"


def answers(**changed: str) -> dict[str, str]:
    driven = {
        "error": None,
        "log": "",
        "turns": [
            {
                "agent": "main",
                "error": None,
                "offered": ["exec"],
                "results": {"exec": f"openclaw-proof {json.dumps(INSIDE)}"},
            }
        ],
    }
    return {
        "directory": "/var/lib/mine/proof-x",
        "turns": json.dumps(driven),
        "sandboxes": json.dumps([CONTAINER]),
        "images": "mine-sandbox:bookworm-slim sha256:1111",
        "profiles": "",
        "left": "",
        **changed,
    }


def results(found: dict[str, str]) -> list[Check]:
    configuration = scripted_gateway.configuration(DEPLOYED, SETTINGS)
    plan = scripted_gateway.plan(configuration, SETTINGS, "n1")
    return proof.results(
        SETTINGS, configuration, plan, "n1", Driven.parse(found), "/run/docker.sock"
    )


def test_the_scripts_answers_become_checks():
    assert {check.outcome for check in results(answers())} == {"ok"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"turns": "", "failed": "124"}, "124"),
        ({"turns": '{"error": "not ready", "log": "because", "turns": []}'}, "not ready"),
        ({"sandboxes": ""}, "made no sandbox"),
        ({"left": "abc123"}, "abc123"),
    ],
)
def test_what_went_wrong_is_said(changed: dict[str, str], words: str):
    failed = [check for check in results(answers(**changed)) if check.outcome == "failed"]
    assert any(words in check.detail for check in failed), failed


def test_half_a_record_is_none():
    for record in ('{"digest": "a', "[]", "3"):
        assert proof.State.parse([f"record {record}"]).proved == ""
    there = proof.State.parse(['record {"digest": "a"}', "tag x:y sha256:1", "engine server=20.10"])
    assert there == proof.State("a", "", {"x:y": "sha256:1"}, (), "20.10")
