"""The line with which an SSH server begins: whether there is one, before paramiko reads it."""

from __future__ import annotations

import socket
import time

from toolkit.ssh import SSHException
from toolkit.terminal import printable

SECONDS = 15
"""How long a server may take to say that it speaks SSH, with the logins of the hops before it."""
MOST_SAID, MOST_SHOWN, LONGEST_GREETING = 16384, 80, 255
_CLOSED = ("kex_exchange_identification", "Exceeded MaxStartups", "Not allowed at this time")


class Dropped(SSHException):
    """The server ended the connection before it said what it is: others are logging in, perhaps."""


def awaited(way: socket.socket, seconds: float) -> None:
    """Wait for the line with which an SSH server begins, and leave it there to be read.

    The lines before it, which the protocol allows (RFC 4253, 4.2), are read.

    Raises:
        SSHException: something else is there, or nothing is said; paramiko would read for ever what
            has no end.
        Dropped: the connection was ended.
    """
    before, limit = way.gettimeout(), time.monotonic() + seconds
    said, begins = b"", True
    try:
        while len(said) < MOST_SAID:
            way.settimeout(max(limit - time.monotonic(), 0.001))
            seen = way.recv(MOST_SAID, socket.MSG_PEEK)
            if not seen:
                raise EOFError
            line, end, _ = seen.partition(b"\n")
            if begins and (line.startswith(b"SSH-") or (not end and b"SSH-".startswith(line))):
                if end:
                    return
                if time.monotonic() > limit or len(line) > LONGEST_GREETING:
                    break
                time.sleep(0.02)  # the rest of the line is on its way
                continue
            said += way.recv(len(line) + len(end))
            begins = bool(end)
    except TimeoutError:
        if not said:
            raise SSHException(f"it has said nothing for {seconds:g} s") from None
    except (EOFError, ConnectionError):
        if not said or dropped(said.decode(errors="replace")):
            raise Dropped("it ended the connection before it said anything") from None
    finally:
        way.settimeout(before)
    shown = " ".join(said[:MOST_SHOWN].decode(errors="backslashreplace").split())
    raise SSHException(f"it is no SSH server; it says {printable(shown)!r}")


def dropped(said: str) -> bool:
    """Return whether a server, or `ssh` of one, says that it has no time for a connection now."""
    return any(words in said for words in _CLOSED)
