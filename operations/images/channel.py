"""Bytes to and from a command on a host; pyinfra's connectors carry lines of text only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent.subprocess import PIPE, Popen
from paramiko import SSHException
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import make_unix_command_for_host

from operations import snapshot
from operations.connection import transport

CHUNK = 1 << 16
SILENCE_SECONDS = 900
"""How long a host may neither take nor send anything; saving a large image takes minutes."""


class ChannelError(PyinfraError):
    """A command failed, or its connection did; the message is what it said last."""


class Process:
    """A running command; `stop` ends the connection to it, whatever it is doing."""

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Say that nothing more will be written."""
        raise NotImplementedError

    def read(self) -> bytes:
        """Return what the command wrote next; nothing at its end."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            ChannelError: it failed.
        """
        raise NotImplementedError


class _Remote(Process):
    def __init__(self, host: Host, command: str) -> None:
        found = transport(host)
        if found is None or not found.is_active():
            raise ChannelError(f"{host.name} is not connected")
        self._channel = found.open_session()
        self._channel.settimeout(SILENCE_SECONDS)
        self._channel.exec_command(command)
        self._said = gevent.spawn(self._errors)

    def _errors(self) -> bytes:
        said = b""
        while more := self._channel.recv_stderr(CHUNK):
            said = (said + more)[-CHUNK:]
        return said

    def write(self, data: bytes) -> None:
        self._channel.sendall(data)

    def end(self) -> None:
        self._channel.shutdown_write()

    def read(self) -> bytes:
        data: bytes = self._channel.recv(CHUNK)
        return data

    def stop(self) -> None:
        self._channel.close()

    def finish(self) -> None:
        said = self._said.get()
        status = self._channel.recv_exit_status()
        if status:
            raise ChannelError(_last(said) or f"exit status {status}")


class _Local(Process):
    def __init__(self, command: str) -> None:
        process: Any = Popen(
            ["sh", "-c", command], stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        self._process = process
        self._said = gevent.spawn(process.stderr.read)

    def write(self, data: bytes) -> None:
        self._process.stdin.write(data)

    def end(self) -> None:
        self._process.stdin.close()

    def read(self) -> bytes:
        data: bytes = self._process.stdout.read1(CHUNK)
        return data

    def stop(self) -> None:
        # Its pipes break; a command that still works on its own ends when it next uses one.
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()

    def finish(self) -> None:
        said = self._said.get()
        status = self._process.wait()
        if status:
            raise ChannelError(_last(said) or f"exit status {status}")


def reachable(host: Host) -> bool:
    """Return whether a host's connector carries bytes; pyinfra's for containers do not."""
    return isinstance(host.connector, (SSHConnector, LocalConnector))


@contextmanager
def process(host: Host, script: str, environment: dict[str, str]) -> Iterator[Process]:
    """Run a shell script as root on a host; it is stopped when the body ends.

    Raises:
        ChannelError: the script fails, or the connection does.
    """
    arguments: dict[str, Any] = {**snapshot.privileges(host), "_env": environment}
    command = make_unix_command_for_host(
        host.state, host, StringCommand(script), **arguments
    ).get_raw_value()
    running: Process | None = None
    try:
        local = isinstance(host.connector, LocalConnector)
        running = _Local(command) if local else _Remote(host, command)
        yield running
    except TimeoutError:
        raise ChannelError(f"nothing came or went for {SILENCE_SECONDS} s") from None
    except (OSError, EOFError, SSHException) as error:
        raise ChannelError(_reason(running) or f"the connection broke: {error}") from None
    finally:
        if running:
            running.stop()


def answer(host: Host, script: str, environment: dict[str, str], given: str = "") -> str:
    """Return what a shell script said that was run as root on a host.

    + given: its standard input

    Raises:
        ChannelError: it failed, or the connection did.
    """
    said = b""
    with process(host, script, environment) as running:
        running.write(given.encode())
        running.end()
        while data := running.read():
            said += data
        running.finish()
    return said.decode()


def _reason(running: Process | None) -> str:
    """Return what a command said that ended while it was being written to."""
    try:
        with gevent.Timeout(10, TimeoutError):
            if running:
                running.finish()
    except (ChannelError, OSError, EOFError) as error:
        return str(error)
    return ""


def _last(said: bytes) -> str:
    return "\n".join(said.decode(errors="replace").strip().splitlines()[-5:])
