"""A command that is given much: silence is told from work that takes long."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from operations.base import channel
from operations.base.channel import ChannelError


class Far:
    """A session of paramiko's whose command takes nothing for a while; `beats`: it says so."""

    def __init__(self, beats: int, takes: bool) -> None:
        self.beats, self.takes = beats, takes
        self.status_event, self.taken = Event(), b""
        self.closed = threading.Event()

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def exec_command(self, command: str) -> None:
        pass

    def recv(self, size: int) -> bytes:
        gevent.sleep(self.timeout / 10)
        if self.beats:
            self.beats -= 1
            return b"."
        gevent.sleep(self.timeout)
        if self.takes:
            self.status_event.set()
            return b""
        raise TimeoutError

    def recv_stderr(self, size: int) -> bytes:
        gevent.sleep(self.timeout)
        if self.status_event.is_set():
            return b""
        raise TimeoutError

    def send(self, data: bytes) -> int:
        if self.beats > 3:
            gevent.sleep(self.timeout)
            raise TimeoutError
        self.taken += data[:5]
        return len(data[:5])

    def shutdown_write(self) -> None:
        pass

    def recv_exit_status(self) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.5)

    def give(far: Far) -> None:
        transport = SimpleNamespace(is_active=lambda: True, open_session=lambda: far)
        monkeypatch.setattr(channel, "transport", lambda host: transport)
        host: Any = SimpleNamespace(name="far", connector=None)
        with channel.running(host, "docker load") as process:
            process.hear()
            process.write(b"an image of many layers")
            process.end()
            process.finish()

    return give


def test_a_host_that_works_is_waited_for(near: Any) -> None:
    far = Far(beats=20, takes=True)
    near(far)
    assert far.taken == b"an image of many layers"
    assert far.beats == 0


@pytest.mark.parametrize("beats", [0, 2])
def test_a_host_that_is_silent_is_not(beats: int, near: Any) -> None:
    with pytest.raises(ChannelError, match="did not end in"):
        near(Far(beats=beats, takes=False))


def test_nor_one_that_works_for_ever(near: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "WORK_SECONDS", 1)
    far = Far(beats=10**6, takes=False)
    with pytest.raises(ChannelError, match=r"nothing came or went|still works"):
        near(far)
