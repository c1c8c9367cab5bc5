"""What a host is asked for an image while another one receives it."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.images.sharing import by_stream, processes
from operations.images.sharing.archive import Archive
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

SANDBOXED = Settings.model_validate({"sandbox": {"enabled": True}})


def host(form: str) -> Host:
    return cast(Host, FakeHost({"access": f"form={form}\n"}))


def test_each_engine_is_asked_at_the_socket_of_its_own_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `sandbox.socket: auto` the host decides which one that is."""
    asked: list[str] = []
    said = [base64.b64encode(b"{}") + b"\n5 \n" + gzip.compress(b"layer"), b""]

    @contextmanager
    def process(host: Host, script: str, environment: dict[str, str]) -> Iterator[Any]:
        asked.append(script)
        nothing = SimpleNamespace(end=lambda: None, finish=lambda: None)
        nothing.read = lambda: said.pop(0)
        yield nothing

    monkeypatch.setattr(processes, "process", process)
    for module in (snapshot, by_stream):
        monkeypatch.setattr(module, "settings_for", lambda host: SANDBOXED)
    kept = Archive("sha256:1", "inputs", ["sha256:a"])
    with ctx_host.use(host("socket")):
        by_stream.fetch(host("rootless"), kept, [0], {})
        assert gzip.decompress(b"".join(kept.parts[0].chunks())) == b"layer"
    (script,) = asked
    assert "/run/openclaw-engine/docker.sock" in script
