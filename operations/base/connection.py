"""The SSH connection under a host's connector."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host

from toolkit import greenlets, pyinfra_internals
from toolkit.ssh import (
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    Channel,
    ChannelException,
    SSHException,
    Transport,
)

OPEN_SECONDS = 60
"""How long a server may take to open a session, and to begin a command."""
BUSY_SECONDS = 300
"""How long a server may refuse a session because others of ours are open (`MaxSessions`)."""
ALONE_SECONDS = 10
"""How long it may where none is, any more (`MaxSessions 0`)."""
FORWARD_SECONDS = 10
"""How long a server may take to say whether it forwards a port."""
CONNECT_TRIES, AGAIN_SECONDS = 3, 2
"""Fewer than after which a host shuts out who is refused (fail2ban)."""
_PREPARED = "openclaw_prepared"


def transport(host: Host) -> Transport | None:
    """Return the transport of a host's connection; None without SSH, and before it is connected."""
    client = pyinfra_internals.client(host)
    found: Transport | None = client.get_transport() if client else None
    if isinstance(found, Transport) and not hasattr(found, _PREPARED):
        _prepare(found)
    return found


def login_user(host: Host) -> str | None:
    """Return the user that a connection over SSH was authenticated as; None as for `transport`."""
    found = transport(host)
    return found.get_username() if found else None


def by_key(host: Host) -> bool:
    """Return whether a connection over SSH was authenticated by a key; False without SSH."""
    found = transport(host)
    return bool(found) and pyinfra_internals.authenticated_by(found) == "publickey"


def host_key(host: Host) -> str:
    """Return the kind of key by which a host was known over SSH; '' without SSH."""
    found = transport(host)
    return found.get_remote_server_key().get_name() if found else ""


@contextmanager
def anew(host: Host, seconds: float) -> Iterator[None]:
    """Have a host asked over another connection, made now; without SSH over that which there is.

    What was open before says nothing of who may still connect: a firewall lets it go on. It is
    tried more than once: an sshd that reads its configuration is away for a moment.

    Raises:
        PyinfraError: it cannot be connected in that time.
    """
    if pyinfra_internals.client(host) is None:
        yield
        return
    before = host.connector
    made = type(before)(host.state, host)
    host.connector = made
    timer = greenlets.Timeout(seconds)
    try:
        with timer:
            _connect(made)
        yield
    except greenlets.Timeout as late:
        if late is not timer:
            raise
        raise ConnectError(f"no answer within {seconds:.0f} s") from None
    finally:
        if client := pyinfra_internals.client(host):
            client.close()
        host.connector = before


def _connect(connector: Any) -> None:
    for left in range(CONNECT_TRIES, 0, -1):
        try:
            return connector.connect()
        except ConnectError:
            if left == 1:
                raise
            greenlets.sleep(AGAIN_SECONDS)


def forwards(host: Host, port: int) -> bool:
    """Return whether a host's SSH server forwards to a port of the host's loopback, as `ssh -L`
    would ask it to; True where it cannot be told.

    A channel is opened to the port, as `ssh -L` does for each connection: what sshd_config and
    the key's own options forbid, sshd refuses, whether anybody listens there or not. No command
    runs on the host. https://datatracker.ietf.org/doc/html/rfc4254#section-5.1
    """
    found = transport(host)
    if found is None:
        return True
    try:
        way = ("127.0.0.1", port), ("127.0.0.1", 0)
        found.open_channel("direct-tcpip", *way, timeout=FORWARD_SECONDS).close()
    except ChannelException as error:
        return bool(error.code != OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)
    except (SSHException, EOFError, OSError):
        return True
    return True


def _prepare(found: Transport) -> None:
    """Have every session of a transport, pyinfra's too, wait its turn, begin in time, and be
    understood by the login's shell.
    """
    opened = found.open_session
    ours = WeakSet[Channel]()

    def open_session(*arguments: Any, **named: Any) -> Channel:
        began = shared = time.monotonic()
        while True:
            try:
                channel = opened(*arguments, **{**named, "timeout": OPEN_SECONDS})
            except ChannelException as error:
                now = time.monotonic()
                if any(not channel.closed for channel in list(ours)):
                    shared = now
                if now > began + BUSY_SECONDS or now > shared + ALONE_SECONDS:
                    raise SSHException(
                        f"its SSH server opens no further session ({error.text}; MaxSessions)"
                    ) from None
                greenlets.sleep(0.1)
            else:
                ours.add(channel)
                _begin_in_time(channel)
                return channel

    setattr(found, _PREPARED, True)
    pyinfra_internals.open_sessions_by(found, open_session)


def for_any_shell(command: str) -> str:
    """Return a command line of programs and quoted words as any login shell is to read it.

    `env` finds the program, for the login's own files may have a function or an alias of its name
    (zsh takes aliases from .zshenv). To fish a backslash between single quotes means something; all
    of a command stand there.
    """
    in_quotes = command.replace("\\", "'\"\\\\\"'")
    return f"/usr/bin/env {in_quotes}"


def _begin_in_time(channel: Channel) -> None:
    begun = channel.exec_command

    def exec_command(command: str) -> None:
        late = SSHException(f"its SSH server began no command in {OPEN_SECONDS} s")
        with greenlets.Timeout(OPEN_SECONDS, late):
            begun(for_any_shell(command))

    pyinfra_internals.begin_commands_by(channel, exec_command)
