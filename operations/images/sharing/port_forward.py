"""A port of one host's loopback on another one's, through the SSH connections to both."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyinfra.api.host import Host
from pyinfra.connectors.local import LocalConnector

from operations.base.connection import transport
from operations.images.sharing.processes import CHUNK, ChannelError
from toolkit import greenlets
from toolkit.greenlets import StreamServer
from toolkit.ssh import SSHException

LOOPBACK = "127.0.0.1"
OPEN_SECONDS = 30


@contextmanager
def forwarded(server: Host, port: int, host: Host) -> Iterator[int]:
    """Make a port of `server`'s loopback reachable on the loopback of `host`; yield its number
    there. It is closed when the body ends, and when one of the connections does.

    Raises:
        ChannelError: an SSH server does not allow it, or its connection broke.
    """
    running: list[greenlets.Greenlet] = []

    def taken(end: Any, origin: tuple[str, int], *_: object) -> None:
        # With `GatewayPorts yes` sshd listens for strangers, too.
        if origin[0] in (LOOPBACK, "::1"):
            running.append(greenlets.spawn(_join, end, server, port))
        else:
            end.close()

    try:
        # Refused now, or as a connection that ends without a reason.
        _connected(server, port).close()
    except (OSError, EOFError, SSHException) as error:
        raise ChannelError(f"its port cannot be reached through SSH: {error}") from None
    try:
        listener, close = _listening(host, taken)
    except (OSError, EOFError, SSHException) as error:
        raise ChannelError(f"no port can be forwarded to {host}: {error}") from None
    try:
        yield listener
    finally:
        with suppress(OSError, EOFError, SSHException):
            close()
        greenlets.killall(running)


def _listening(host: Host, taken: Callable[..., None]) -> tuple[int, Callable[[], None]]:
    """Have `taken` called for every connection to a new port; return that, and what closes it."""
    if isinstance(host.connector, LocalConnector):
        # The server closes a connection when its handler returns.
        server = StreamServer((LOOPBACK, 0), lambda end, origin: taken(end.dup(), origin))
        server.start()
        return int(server.socket.getsockname()[1]), server.stop
    found = transport(host)
    if found is None:
        raise SSHException("it is not connected")
    port = found.request_port_forward(LOOPBACK, 0, taken)
    return port, lambda: found.cancel_port_forward(LOOPBACK, port)


def _join(one: Any, server: Host, port: int) -> None:
    """Carry bytes between a connection and the port, until both ends have said that they end."""
    other = None
    try:
        other = _connected(server, port)
        back = greenlets.spawn(_copy, other, one)
        try:
            _copy(one, other)
            back.join()
        finally:
            back.kill()
    except (OSError, EOFError, SSHException):
        pass  # whoever waits for an answer sees the connection end
    finally:
        for end in filter(None, (one, other)):
            end.close()


def _connected(server: Host, port: int) -> Any:
    if isinstance(server.connector, LocalConnector):
        return socket.create_connection((LOOPBACK, port), OPEN_SECONDS)
    found = transport(server)
    if found is None:
        raise SSHException("it is not connected")
    return found.open_channel("direct-tcpip", (LOOPBACK, port), (LOOPBACK, 0), timeout=OPEN_SECONDS)


def _copy(source: Any, target: Any) -> None:
    with suppress(OSError, EOFError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with suppress(OSError, EOFError):
        target.shutdown(socket.SHUT_WR)
