"""The output of operations' commands: any bytes, in pieces, of a limited size and time.

pyinfra's own reader takes lines of any length as long as they come, and is stopped by the first
byte that is not UTF-8.
"""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.output import echo, format_text
from pyinfra.connectors.util import CommandOutput, OutputLine

from toolkit import greenlets
from toolkit.pyinfra_internals import ended, read_output_with

CHUNK = 1 << 16
LONGEST_LINE = 1 << 16
KEPT_CHARACTERS = 4 << 20
"""How much of the end of an output is kept, for the message of a failure."""
MOST_BYTES = 64 << 20
COMMAND_SECONDS = 7200
SILENCE_SECONDS = 1800
"""How long a command with a time limit may say nothing: npm in a build, on a slow machine."""
STATUS_SECONDS = 60


class OutputError(PyinfraError):
    """A command says more than any of the toolkit's does, or nothing for long."""


class _Output:
    def __init__(self, limited: bool) -> None:
        self.limited, self.taken, self.kept = limited, 0, 0
        self.moved = time.monotonic()
        self.lines: deque[OutputLine] = deque()

    def take(self, data: bytes) -> None:
        self.moved = time.monotonic()
        self.taken += len(data)
        if self.limited and self.taken > MOST_BYTES:
            raise OutputError(f"it said more than {MOST_BYTES >> 20} MiB")

    def add(self, line: OutputLine) -> None:
        self.lines.append(line)
        self.kept += len(line.line)
        while self.kept > KEPT_CHARACTERS:
            self.kept -= len(self.lines.popleft().line)


def install() -> None:
    """Have the output of operations' commands read here."""
    read_output_with(read_output_buffers)


def read_output_buffers(
    stdout_buffer: Any,
    stderr_buffer: Any,
    timeout: float | None,
    print_output: bool,
    print_prefix: str,
) -> CommandOutput:
    """Return what a command says; with a `timeout` its size and silence are limited, too.

    Raises:
        OutputError: it took longer, said nothing for long, or too much.
    """
    output = _Output(timeout is not None)

    def show(line: str) -> None:
        if print_output:
            echo(f"{print_prefix}{line}", err=True)

    def show_error(line: str) -> None:
        if print_output:
            echo(f"{print_prefix}{format_text(line, 'red')}", err=True)

    readers = [
        greenlets.spawn(_read, "stdout", _source(stdout_buffer, "recv"), output, show),
        greenlets.spawn(_read, "stderr", _source(stderr_buffer, "recv_stderr"), output, show_error),
    ]
    try:
        _await(readers, output, timeout)
        channel = getattr(stdout_buffer, "channel", None)
        if channel and timeout is not None and not ended(channel, STATUS_SECONDS):
            raise OutputError(f"it said all, and did not end in {STATUS_SECONDS} s")
    except BaseException:
        greenlets.killall(readers, timeout=STATUS_SECONDS)
        for buffer in (stdout_buffer, stderr_buffer):
            with suppress(OSError):
                getattr(buffer, "channel", buffer).close()
        raise
    return CommandOutput(list(output.lines))


def _source(buffer: Any, name: str) -> Callable[[int], bytes]:
    channel = getattr(buffer, "channel", None)
    return getattr(channel, name) if channel else buffer.read1


def _await(readers: list[greenlets.Greenlet], output: _Output, timeout: float | None) -> None:
    started = time.monotonic()
    while True:
        wait = None
        if timeout is not None:
            wait = min(started + timeout, output.moved + SILENCE_SECONDS) - time.monotonic()
            if wait <= 0:
                silent = f"said nothing for {time.monotonic() - output.moved:.0f} s"
                raise OutputError(
                    f"it did not end: it ran {time.monotonic() - started:.0f} s, {silent}"
                )
        done = greenlets.wait(readers, timeout=wait, count=1 if len(readers) > 1 else None)
        for one in done:
            if one.value is not None:
                raise one.value
        readers = [one for one in readers if not one.ready()]
        if not readers:
            return


def _read(
    name: str, read: Callable[[int], bytes], output: _Output, show: Callable[[str], None]
) -> Exception | None:
    decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""

    def add(line: str) -> None:
        output.add(OutputLine(name, line))
        show(line)

    try:
        while data := read(CHUNK):
            output.take(data)
            *lines, rest = (rest + decoder.decode(data)).split("\n")
            for line in lines:
                add(line)
            if len(rest) > LONGEST_LINE:
                add(rest)
                rest = ""
        if rest:
            add(rest)
    except Exception as error:  # gevent would print it
        return error
    return None
