"""Connections: the client under pyinfra's SSH connector, and what many of them need."""

from __future__ import annotations

import resource
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from commandline.run import connecting
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


@pytest.mark.parametrize(
    ("hosts", "soft", "hard", "then"),
    [
        (1000, 1024, 1 << 20, 3256),
        (1000, 1024, resource.RLIM_INFINITY, 3256),
        (1000, 1024, 2048, 2048),
        (1000, 4096, 8192, None),
        (16, 1024, 8192, None),
        (1000, resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_a_thousand_hosts_may_have_more_files_open_than_a_shell_allows(
    hosts: int, soft: int, hard: int, then: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: made.append(limits))
    connecting.allow_files(hosts)
    assert made == ([] if then is None else [(then, hard)])
