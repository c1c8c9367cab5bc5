"""The engine is asked once for what several facts want to know of it, and says what they need."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations import verification  # noqa: F401 (and with it all facts)
from operations.activation import Running
from operations.base import snapshot
from operations.engine.state import Engine
from operations.engine.uplink import Form, Uplink
from operations.gateway.conflicts import There
from operations.gateway.network import Network
from operations.images import listing
from operations.images.state import Images
from operations.system import System
from tests.operations.engine_api import answering
from tests.operations.hosts import FakeHost
from tests.operations.test_endless_engine import run
from toolkit.settings import Settings

ID, IMAGE, INPUTS = "c" * 64, "sha256:" + "a" * 64, "b" * 64
PULLED = "sha256:" + "e" * 64
GATEWAY = {
    "com.docker.compose.project": "openclaw",
    "com.docker.compose.project.working_dir": "/opt/openclaw",
    "com.docker.compose.service": "openclaw-gateway",
    "com.docker.compose.oneoff": "False",
    "openclaw-pyinfra.project": "0123",
    "org.opencontainers.image.version": "2026.9.6",
}
PORT = {"IP": "127.0.0.1", "PrivatePort": 18789, "PublicPort": 18789, "Type": "tcp"}
ODD = 'says "no", \\ and {[,:\n]} \x1e'
"""What strings may hold, and no form of JSON."""
INFO = {
    "ServerVersion": "20.10.24",
    "LiveRestoreEnabled": True,
    "Swarm": {"LocalNodeState": "active"},
    "ContainersRunning": 2,
    "DockerRootDir": "/srv/docker",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=default"],
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "Labels": [ODD],
}
IMAGES = [
    {
        "Id": IMAGE,
        "RepoTags": ["openclaw:local"],
        "RepoDigests": None,
        "Labels": {"openclaw-pyinfra.inputs": INPUTS, "openclaw-pyinfra.deployment": "openclaw"},
    },
    {
        "Id": PULLED,
        "RepoTags": ["<none>:<none>"],
        "RepoDigests": [f"registry.example.org/openclaw@{PULLED}"],
        "Labels": None,
    },
    {"Id": "sha256:" + "f" * 64, "RepoTags": ["nginx:1"], "RepoDigests": [], "Labels": {"a": ODD}},
]
CONTAINERS = [
    {
        "Id": ID,
        "Names": ["/g"],
        "Image": "openclaw:local",
        "ImageID": IMAGE,
        "Command": "gateway SECRET",
        "Ports": [PORT, {"PrivatePort": 18790, "Type": "tcp"}],
        "Labels": GATEWAY,
        "State": "running",
        "Mounts": [{"Type": "bind", "Name": "", "Source": "/var/lib/openclaw/config"}],
    },
    {
        "Id": "d" * 64,
        "Names": ["/another", "/g/alias"],
        "Image": "nginx",
        "ImageID": PULLED,
        "Command": f"nginx SECRET {ODD}",
        "Ports": [{"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        "Labels": {"openclaw.sandbox": ODD},
        "State": "running",
        "Mounts": [{"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data"}],
    },
]
DESCRIBED = {
    "Id": ID,
    "Image": IMAGE,
    "State": {"Status": "exited", "StartedAt": "2026-11-30T21:48:33Z"},
    "Config": {"User": "1000:1000", "Env": ["TOKEN=SECRET", ODD], "Labels": GATEWAY},
    "HostConfig": {"Memory": 5, "Binds": None, "SecurityOpt": [ODD]},
    "NetworkSettings": {"Ports": {"18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18789"}]}},
}
MTU = "com.docker.network.driver.mtu"
NETWORKS = [
    {"Name": "bridge", "Id": "1" * 64, "Driver": "bridge", "EnableIPv6": False, "Labels": {}}
    | {"Options": {MTU: "1400", "com.docker.network.bridge.name": "docker0"}},
    {"Name": "mine", "Id": "2" * 64, "Driver": "bridge", "EnableIPv6": True, "Options": None}
    | {"Labels": {"com.docker.compose.project": "blog"}},
    {"Name": "host", "Id": "3" * 64, "Driver": "host", "EnableIPv6": False, "Labels": None},
]
ANSWERS = {
    "/info": INFO,
    "/images/json": IMAGES,
    "/containers/json?all=1": CONTAINERS,
    f"/containers/{ID}/json": DESCRIBED,
    "/networks": NETWORKS,
}


class There_(FakeHost):
    def __init__(self, programs: Path) -> None:
        super().__init__({})
        self.programs = programs
        self.said = ""

    def run_shell_command(self, command: Any, **_: Any) -> tuple[bool, SimpleNamespace]:
        script = command.get_raw_value().replace("export LC_ALL=C PATH=", "export LC_ALL=C UNUSED=")
        done = run(script, self.programs)
        self.said += done.stdout
        return True, SimpleNamespace(stdout=done.stdout, stderr=done.stderr)


def read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]
) -> tuple[snapshot.Snapshot, list[str], str]:
    """Return the facts of a host whose engine answers so, what that was asked, and all that the
    host said."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "programs/docker").chmod(0o755)
    wanted = {
        "engine": {"socket": str(tmp_path / "s")},
        "gateway": {"source": "image", "image": f"registry.example.org/openclaw:1@{PULLED}"},
    }
    settings = Settings.model_validate(wanted)
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings)
    host: Any = There_(tmp_path / "programs")
    with answering(tmp_path / "s", answers) as asked, ctx_host.use(host):
        return snapshot.read(host), asked, host.said


def test_each_question_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, asked, said = read(tmp_path, monkeypatch, ANSWERS)
    assert sorted(asked) == sorted(ANSWERS)
    assert "SECRET" not in said
    assert there.of(System).deployed
    gateway = there.of(Running)
    assert gateway.wanted_image == gateway.image == IMAGE
    assert (gateway.status, gateway.label, gateway.user) == ("exited", "0123", "1000:1000")
    assert (gateway.health, gateway.version) == ("", "2026.9.6")
    assert gateway.host_config == DESCRIBED["HostConfig"]
    assert gateway.ports == DESCRIBED["NetworkSettings"]["Ports"]  # type: ignore[index]
    (image,) = there.of(Images).images
    assert (image.inputs, image.deployment, image.kind) == (INPUTS, "openclaw", "")
    assert there.of(Images).used == {IMAGE, PULLED}
    assert there.of(Images).pulled == (PULLED,)
    found = there.of(There)
    assert [one.name for one in found.containers] == ["g", "another"]
    assert found.containers[0].mounts == ("/var/lib/openclaw/config",)
    assert found.containers[1].mounts == ("data",)
    assert found.containers[1].publishes(8080) == ["::"]
    assert [image.tags for image in found.images] == [("openclaw:local",)]
    assert {one.name: one.project for one in found.named}["mine"] == "blog"
    form = {"bridge": Form(1400), "mine": Form(ipv6=True), "host": Form()}
    assert dict(there.of(Uplink).networks) == form
    interfaces = {"bridge": "docker0", "mine": "br-222222222222"}
    assert dict(there.of(Network).interfaces) == interfaces
    engine = there.of(Engine)
    assert (engine.version, engine.live_restore, engine.swarm) == ("20.10.24", True, True)
    assert (engine.containers, engine.snapshotter) == (2, "overlayfs")
    assert engine.security == "name=apparmor name=seccomp,profile=default"


@pytest.mark.parametrize("missing", list(ANSWERS))
def test_what_an_engine_does_not_say_is_missing_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    there, *_ = read(tmp_path, monkeypatch, {**ANSWERS, missing: None})
    assert bool(there.of(Engine).version) == (missing != "/info")
    assert bool(there.of(Images).images) == (missing != "/images/json")
    assert bool(there.of(There).containers) == (missing != "/containers/json?all=1")
    assert bool(there.of(Uplink).networks) == (missing != "/networks")
    gateway = ("/containers/json?all=1", f"/containers/{ID}/json")
    assert bool(there.of(Running).status) == (missing not in gateway)


@pytest.mark.parametrize(
    "said",
    ["", "{", "null", "[[" * 60, '{"ServerVersion": ["1"], "Swarm": 1}', '[1, "a", null, [2]]'],
)
def test_what_no_engine_says_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def answer(to: Any) -> None:
        to.write(f"HTTP/1.0 200 OK\r\n\r\n{said}".encode())

    there, *_ = read(tmp_path, monkeypatch, dict.fromkeys(ANSWERS, answer))
    assert not there.of(Running).status and not there.of(Images).images
    assert not there.of(Engine).version


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("docker.io/library/node:24-slim", "node:24-slim"),
        ("docker.io/owner/name:1", "owner/name:1"),
        (f"ghcr.io/openclaw/openclaw:1@{IMAGE}", f"ghcr.io/openclaw/openclaw@{IMAGE}"),
        ("registry.local:5000/library/node:24", "registry.local:5000/library/node:24"),
    ],
)
def test_a_reference_is_what_the_engine_shows(reference: str, shown: str) -> None:
    assert listing.familiar(reference) == shown
