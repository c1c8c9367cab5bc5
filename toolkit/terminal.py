"""Questions on the terminal, during which signals are still seen."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import gevent.socket


def can_ask() -> bool:
    """Return whether somebody sits there, wherever standard output leads (`| tee`, `--json`)."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, secret: bool = False) -> str:
    """Ask on standard error and return the line that is typed; a `secret` is not shown."""
    with _hidden() if secret else nullcontext():
        print(question, end="", flush=True, file=sys.stderr)
        # Not a blocking read: it would keep gevent from noticing Ctrl-C.
        gevent.socket.wait_read(sys.stdin.fileno())
        return sys.stdin.readline().rstrip("\n")


@contextmanager
def _hidden() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print(file=sys.stderr)
