"""A server that opens no further session: it is waited for while it has others of ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from paramiko import ChannelException, SSHException

from operations.base import connection


class Limited:
    """A transport of paramiko's whose server lets so many sessions in at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.open: list[Any] = []

    def open_session(self, **_: Any) -> Any:
        if len([one for one in self.open if not one.closed]) >= self.most:
            raise ChannelException(2, "open failed")
        self.open.append(Session())
        return self.open[-1]


class Session:
    closed = False

    def exec_command(self, command: str) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Seconds that pass only while somebody waits; `meanwhile` happens then."""
    clock = SimpleNamespace(now=0.0, meanwhile=lambda: None)

    def sleep(seconds: float) -> None:
        clock.now += seconds
        clock.meanwhile()

    monkeypatch.setattr(connection.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(connection.greenlets, "sleep", sleep)
    return clock


def test_a_session_waits_while_another_one_of_ours_is_open(clock: SimpleNamespace) -> None:
    server: Any = Limited(1)
    connection._prepare(server)
    first = server.open_session()
    clock.meanwhile = lambda: setattr(first, "closed", clock.now > 100)
    assert server.open_session() is not first and 100 < clock.now < 101


def test_a_server_that_opens_none_is_named_soon(clock: SimpleNamespace) -> None:
    server: Any = Limited(0)
    connection._prepare(server)
    with pytest.raises(SSHException, match="opens no further session"):
        server.open_session()
    assert clock.now < 15
