"""Scripts that root runs against a host's engine, with bytes that come and go meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra.api import StringCommand
from pyinfra.api.host import Host
from pyinfra.connectors.util import make_unix_command_for_host

from operations.base import answers, channel, snapshot
from operations.base.answers import AnswerError
from operations.base.channel import CHUNK, ChannelError, Process, reachable

__all__ = ["CHUNK", "ChannelError", "Process", "answer", "process", "reachable"]

ANSWER_SECONDS = 3600
"""How long a registry may take to give or take an image."""


class _Marked(Process):
    """A process whose output begins behind a mark: what a login shell says is none of it."""

    def __init__(self, process: Process, mark: bytes) -> None:
        self._process, self._mark, self._marked = process, mark, False
        self.write, self.end = process.write, process.end  # type: ignore[method-assign]
        self.hear = process.hear  # type: ignore[method-assign]
        self.stop, self.finish = process.stop, process.finish  # type: ignore[method-assign]

    def read(self) -> bytes:
        data = self._process.read()
        while not self._marked and data:
            before, mark, rest = data.partition(self._mark)
            if len(before) > answers.NOISE_BYTES:
                break
            if mark:
                self._marked = True
                data = rest or self._process.read()
            elif more := self._process.read():
                data += more
            else:
                break
        if data and not self._marked:
            said = answers.printable(data.decode(errors="replace"))
            raise ChannelError(f"it does not run what it is asked to, but says: {said}")
        return data


@contextmanager
def process(host: Host, script: str, environment: dict[str, str]) -> Iterator[Process]:
    """Run a shell script as root on a host; it is stopped when the body ends.

    Raises:
        ChannelError: the script fails, or the connection does.
    """
    nonce = secrets.token_hex(8)
    arguments: dict[str, Any] = {**snapshot.privileges(host), "_env": environment}
    begin = StringCommand(f"printf '\\036%s\\n' {nonce}\n{script}")
    command = make_unix_command_for_host(host.state, host, begin, **arguments).get_raw_value()
    with channel.running(host, command) as running:
        yield _Marked(running, f"\x1e{nonce}\n".encode())


def answer(host: Host, script: str, environment: dict[str, str], given: str = "") -> str:
    """Return what a shell script said that was run as root on a host.

    + given: its standard input

    Raises:
        ChannelError: it failed, or the connection did.
    """
    arguments = {**snapshot.privileges(host), "_env": environment}
    try:
        return answers.ask(host, script, arguments, given, seconds=ANSWER_SECONDS)
    except AnswerError as error:
        raise ChannelError(str(error)) from None
