"""Whether a tunnel to the gateway would work: what the server says to a channel, not a command."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest
from paramiko import common

from commandline.screen import reports
from commandline.screen.given import Given
from commandline.screen.reports import Report
from operations.base import connection, notes
from toolkit.settings import Settings
from toolkit.terminal import Screen


class Server(paramiko.ServerInterface):
    """Takes any login, and answers the channels of `ssh -L` with `code`."""

    def __init__(self, code: int) -> None:
        self.code, self.asked = code, list[tuple[str, int]]()

    def check_auth_none(self, username: str) -> int:
        return common.AUTH_SUCCESSFUL

    def check_channel_direct_tcpip_request(self, chanid: int, origin: Any, destination: Any) -> int:
        self.asked.append(destination)
        return self.code


@pytest.fixture
def connected(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Server]]:
    here, there = socket.socketpair()
    server = Server(request.param)
    theirs, ours = paramiko.Transport(there), paramiko.Transport(here)
    theirs.add_server_key(paramiko.ECDSAKey.generate())
    started = threading.Event()
    theirs.start_server(event=started, server=server)
    ours.start_client(timeout=20)
    ours.auth_none("root")
    client = SimpleNamespace(get_transport=lambda: ours)
    yield SimpleNamespace(connector=SimpleNamespace(client=client)), server
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("connected", "works"),
    [
        (common.OPEN_SUCCEEDED, True),
        (common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, False),
        (common.OPEN_FAILED_CONNECT_FAILED, True),  # allowed; the gateway does not run
    ],
    indirect=["connected"],
)
def test_only_a_refusal_means_that_a_tunnel_cannot_work(connected: Any, works: bool) -> None:
    host, server = connected
    assert connection.forwards(host, 18789) is works
    assert server.asked == [("127.0.0.1", 18789)]


def test_nothing_is_known_without_ssh() -> None:
    assert connection.forwards(SimpleNamespace(connector=None), 18789)  # type: ignore[arg-type]


@pytest.mark.parametrize("forwards", [True, False])
def test_the_summary_prints_a_tunnel_only_where_it_can_work(forwards: bool) -> None:
    host: Any = SimpleNamespace(name="203.0.113.7", data={}, connector_data={}, connector=None)
    notes.of(host).forwards = forwards
    out = io.StringIO()
    report = Report(Screen(file=out, width=200), Screen(file=out), Given("203.0.113.7"))
    report._next_steps(host, Settings())
    assert ("ssh -N -L 18789:127.0.0.1:18789 203.0.113.7" in out.getvalue()) is forwards
    assert ("AllowTcpForwarding local >/etc/ssh" in out.getvalue()) is not forwards
    assert reports.NO_FORWARDING.count("{port}") == 1
