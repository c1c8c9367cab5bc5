"""Bytes to and from a command on a host; pyinfra's connectors carry lines of text only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.ssh import SSHConnector

from operations.base.connection import transport
from toolkit import greenlets
from toolkit.greenlets import PIPE, Popen
from toolkit.pyinfra_internals import ended
from toolkit.ssh import SSHException

CHUNK = 1 << 16
SILENCE_SECONDS = 900
"""How long a host may neither take nor send anything; saving a large image takes minutes."""
WORK_SECONDS = 7200
"""How long a command may take what it is given, and work on it, as long as it says that it does."""
MOST_ERRORS = 64 << 20
"""How much a command may write to standard error before the connection to it is ended."""
LAST_SECONDS = 10
"""How long what a command said last may be on its way once its answer is there."""


class ChannelError(PyinfraError):
    """A command failed, or its connection did; the message is what it said last."""


class Process:
    """A running command; `stop` ends the connection to it, whatever it is doing."""

    _begun = _heard = -math.inf
    _hearing: greenlets.Greenlet | None = None

    def hear(self) -> None:
        """Take whatever the command writes from now on for a sign that it works, and no more."""
        self._begun = self._heard = time.monotonic()
        self._hearing = greenlets.spawn(self._hear)

    def _hear(self) -> None:
        with suppress(OSError, EOFError, ValueError):  # stopped meanwhile, or silent
            while self.read():
                self._heard = time.monotonic()

    def _works(self) -> bool:
        """Whether it has said so lately, and not for too long."""
        now = time.monotonic()
        return now - self._heard < SILENCE_SECONDS and now - self._begun < WORK_SECONDS

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Say that nothing more will be written."""
        raise NotImplementedError

    def read(self) -> bytes:
        """Return what the command wrote next; nothing at its end."""
        raise NotImplementedError

    def said(self) -> bytes:
        """Return what it wrote to standard error, which has come to its end, or soon does."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            ChannelError: it failed.
        """
        raise NotImplementedError

    def _late(self) -> str:
        if self._hearing and time.monotonic() - self._begun >= WORK_SECONDS:
            return f"it still works after {WORK_SECONDS // 60} min"
        return f"it did not end in {SILENCE_SECONDS} s"


class _Remote(Process):
    def __init__(self, host: Host, command: str) -> None:
        found = transport(host)
        if found is None or not found.is_active():
            raise ChannelError(f"{host.name} is not connected")
        self._channel = found.open_session()
        self._channel.settimeout(SILENCE_SECONDS)
        self._channel.exec_command(command)
        self._said = greenlets.spawn(_last_of, self._stderr, self.stop)

    def _stderr(self, size: int) -> bytes:
        while True:
            try:
                data: bytes = self._channel.recv_stderr(size)
            except TimeoutError:
                if self._works():
                    continue
                raise
            return data

    def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._channel.send(data) :]
            except TimeoutError:
                if not self._works():
                    raise

    def end(self) -> None:
        self._channel.shutdown_write()

    def read(self) -> bytes:
        data: bytes = self._channel.recv(CHUNK)
        return data

    def said(self) -> bytes:
        return _within(self._said)

    def stop(self) -> None:
        self._channel.close()

    def finish(self) -> None:
        said = self._said.get()
        while not ended(self._channel, SILENCE_SECONDS):
            if not self._works():
                raise ChannelError(self._late())
        status = self._channel.recv_exit_status()
        if status:
            raise ChannelError(_last(said) or f"exit status {status}")


class _Local(Process):
    def __init__(self, command: str) -> None:
        process: Any = Popen(
            ["sh", "-c", command], stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        self._process = process
        self._said = greenlets.spawn(_last_of, process.stderr.read1, self.stop)

    def write(self, data: bytes) -> None:
        self._process.stdin.write(data)

    def end(self) -> None:
        self._process.stdin.close()

    def read(self) -> bytes:
        data: bytes = self._process.stdout.read1(CHUNK)
        return data

    def said(self) -> bytes:
        return _within(self._said)

    def stop(self) -> None:
        # Its pipes break; a command that still works on its own ends when it next uses one.
        # RuntimeError: somebody reads there now, and reads to the end that the other pipe makes.
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError, RuntimeError):
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
def running(host: Host, command: str) -> Iterator[Process]:
    """Run a command line of the login user's shell on a host; it is stopped when the body ends.

    Raises:
        ChannelError: the command fails, or the connection does.
    """
    process: Process | None = None
    try:
        local = isinstance(host.connector, LocalConnector)
        process = _Local(command) if local else _Remote(host, command)
        yield process
    except TimeoutError:
        raise ChannelError(f"nothing came or went for {SILENCE_SECONDS} s") from None
    except (OSError, EOFError, SSHException) as error:
        raise ChannelError(_reason(process) or f"the connection broke: {error}") from None
    finally:
        if process:
            process.stop()


def _last_of(read: Callable[[int], bytes], stop: Callable[[], None]) -> bytes:
    said, taken = b"", 0
    with suppress(OSError, EOFError, ValueError):  # stopped meanwhile
        while more := read(CHUNK):
            said, taken = (said + more)[-CHUNK:], taken + len(more)
            if taken > MOST_ERRORS:
                stop()
                break
    return said


def _within(said: greenlets.Greenlet) -> bytes:
    said.join(LAST_SECONDS)
    found: bytes = said.value or b""
    return found


def _reason(process: Process | None) -> str:
    """Return what a command said that ended while it was being written to."""
    try:
        with greenlets.Timeout(LAST_SECONDS, TimeoutError):
            if process:
                process.finish()
    except (ChannelError, OSError, EOFError) as error:
        return str(error)
    return ""


def _last(said: bytes) -> str:
    return "\n".join(said.decode(errors="replace").strip().splitlines()[-5:])
