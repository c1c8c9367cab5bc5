"""The SSH connection under a host's connector."""

from __future__ import annotations

import time
from typing import Any

import gevent
from paramiko import Channel, ChannelException, SSHException, Transport
from pyinfra.api.host import Host

OPEN_SECONDS = 60
"""How long a server may take to open a session, and to begin a command."""
BUSY_SECONDS = 300
"""How long a server may refuse a session because others of ours are open (`MaxSessions`)."""
_PREPARED = "openclaw_prepared"


def transport(host: Host) -> Transport | None:
    """Return the transport of a host's connection; None without SSH, and before it is connected."""
    client = getattr(host.connector, "client", None)
    found: Transport | None = client.get_transport() if client else None
    if isinstance(found, Transport) and not hasattr(found, _PREPARED):
        _prepare(found)
    return found


def login_user(host: Host) -> str | None:
    """Return the user that a connection over SSH was authenticated as; None as for `transport`."""
    found = transport(host)
    return found.get_username() if found else None


def _prepare(found: Transport) -> None:
    """Have every session of a transport, pyinfra's too, wait its turn and begin in time."""
    opened = found.open_session

    def open_session(*arguments: Any, **named: Any) -> Channel:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                channel = opened(*arguments, **{**named, "timeout": OPEN_SECONDS})
            except ChannelException as error:
                if time.monotonic() > deadline:
                    raise SSHException(
                        f"its SSH server opens no further session ({error.text}; MaxSessions)"
                    ) from None
                gevent.sleep(0.1)
            else:
                _begin_in_time(channel)
                return channel

    setattr(found, _PREPARED, True)
    setattr(found, "open_session", open_session)  # noqa: B010


def _begin_in_time(channel: Channel) -> None:
    begun = channel.exec_command

    def exec_command(command: str) -> None:
        late = SSHException(f"its SSH server began no command in {OPEN_SECONDS} s")
        with gevent.Timeout(OPEN_SECONDS, late):
            begun(command)

    setattr(channel, "exec_command", exec_command)  # noqa: B010
