"""The client under pyinfra's SSH connector, where it is ours."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

from commandline.run.ssh_client import Client


def test_a_connection_is_ended_before_paramiko_waits_for_its_reader() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen: list[bytes] = []
        client: Any = Client()
        client._transport = SimpleNamespace(sock=ours, close=lambda: seen.append(theirs.recv(1)))
        theirs.settimeout(5)
        client.close()
        assert seen == [b""]


def test_a_connection_that_is_gone_is_closed_all_the_same() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    theirs.close()
    closed: list[bool] = []
    client: Any = Client()
    client._transport = SimpleNamespace(sock=ours, close=lambda: closed.append(True))
    client.close()
    assert closed
