"""Sandboxes that run: which are stale, which of them are recreated, and which are left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operations.base import notes, snapshot
from operations.gateway import host_secrets
from operations.images.sandbox import stage as sandbox_images
from operations.sandbox import running
from tests.operations.hosts import FakeHost, commands
from toolkit.settings import Settings

SETTINGS = Settings.model_validate(
    {"sandbox": {"enabled": True, "socket": "socket", "seccomp": "engine"}}
)
TAG = "openclaw-sandbox:bookworm-slim"


def sandbox(**changed: Any) -> dict[str, Any]:
    container = SETTINGS.sandbox.container
    tmpfs = dict(entry.split(":", 1) for entry in container.tmpfs)
    given = {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "NetworkMode": "none",
        "PidsLimit": 256,
        "Memory": 1 << 30,
        "MemorySwap": 1 << 30,
        "NanoCpus": 10**9,
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": tmpfs,
        "IpcMode": "private",
    }
    labels = {"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:main:workspace:abc"}
    return {
        "Id": "1",
        "Name": "/openclaw-sbx-x",
        "Image": "sha256:1",
        "AppArmorProfile": "",
        "HostConfig": {**given, **changed.pop("HostConfig", {})},
        "Mounts": [{"Source": "/var/lib/openclaw/config/sandboxes/x", "Destination": "/workspace"}],
        "State": "running",
        "Config": {"User": "1000:1000", "Image": TAG, "Labels": labels},
        **changed,
    }


def answers(*sandboxes: dict[str, Any], gateway: str = "running") -> dict[str, str]:
    lines = [f"sandbox {json.dumps(one)}" for one in sandboxes]
    return {
        "sandboxes": "\n".join([*lines, f"image {TAG} sha256:1"]),
        "gateway": f"status {gateway}",
        "files": "",
    }


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_secrets, "read", lambda _: host_secrets.Private(None, b"{}"))
    monkeypatch.setattr(sandbox_images, "pending", lambda _: set())


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch):
    """`used(seconds)`: how long ago OpenClaw says that it used the sandbox."""

    def say(seconds: int) -> None:
        entry = {"containerName": "openclaw-sbx-x", "lastUsedAtMs": (1000 - seconds) * 1000}
        said = f"1000\n{json.dumps({'containers': [entry], 'browsers': []})}\n"
        monkeypatch.setattr(snapshot, "run_quietly", lambda *_: said)

    return say


def recreated(*sandboxes: dict[str, Any], **others: Any) -> list[Any]:
    return commands(running.recreated, answers(*sandboxes, **others), settings=SETTINGS)


def test_one_as_configured_is_left_and_nobody_is_asked():
    assert recreated(sandbox()) == []
    assert recreated() == []


@pytest.mark.parametrize(
    "old",
    [sandbox(HostConfig={"PidsLimit": 512}), sandbox(Image="sha256:0")],
    ids=["policy", "image"],
)
def test_an_idle_one_of_before_is_removed_by_openclaw(old: dict[str, Any], used):
    used(301)
    (command,) = recreated(old)
    assert "inside sandbox recreate --session agent:main:workspace:abc --force" in command.stdin


def test_one_in_use_stays(used):
    used(299)
    assert recreated(sandbox(Image="sha256:0")) == []


def test_a_stopped_one_is_not_in_use(used):
    used(10)
    assert len(recreated(sandbox(Image="sha256:0", State="exited"))) == 1


def test_one_of_which_nobody_knows_counts_as_in_use():
    assert recreated(sandbox(Image="sha256:0"), gateway="exited") == []


def test_other_deployments_and_the_proofs_are_none_of_ours(used):
    used(1000)
    for source in ("/var/lib/other/config/sandboxes/x", "/var/lib/openclaw/proof-abc/config/s"):
        mounts = [{"Source": source, "Destination": "/workspace"}]
        assert recreated(sandbox(Image="sha256:0", Mounts=mounts)) == []


def test_a_rebuild_of_the_image_is_foreseen(used, monkeypatch: pytest.MonkeyPatch):
    used(1000)
    monkeypatch.setattr(sandbox_images, "pending", lambda _: {"openclaw-sandbox:bookworm-slim"})
    assert len(recreated(sandbox())) == 1


def test_what_stays_is_kept_for_the_summary(used, monkeypatch: pytest.MonkeyPatch):
    used(5)
    made: list[Any] = []
    original = FakeHost.__init__

    def noted(self: FakeHost, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(FakeHost, "__init__", noted)
    recreated(sandbox(HostConfig={"ReadonlyRootfs": False}))
    (left,) = notes.of(made[0]).stale
    assert left.reasons == ("read-only root is no, not yes",)
