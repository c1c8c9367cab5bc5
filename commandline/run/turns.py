"""One deployment after the other on a machine that has several, for the engine, apt and the
configuration of both are shared there; different machines do not wait for each other.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from pyinfra.api.host import Host

from operations.base import snapshot
from operations.base.connection import transport
from toolkit.greenlets import BoundedSemaphore
from toolkit.settings.sources.machines import machine

Answer = TypeVar("Answer")

_turns: defaultdict[str, BoundedSemaphore] = defaultdict(BoundedSemaphore)
_last: dict[str, Host] = {}


def alone(host: Host, work: Callable[[], Answer]) -> Answer:
    """Return what `work()` returns, called when no other host on the same machine is at it."""
    place = _place(host)
    with _turns[place]:
        if _last.setdefault(place, host) is not host:
            snapshot.forget(host)  # what the one before did to the machine counts
            _last[place] = host
        return work()


def _place(host: Host) -> str:
    """The address that the connection goes to, which also makes two names of it one machine."""
    found = transport(host)
    if found is not None and isinstance(found.sock, socket.socket):
        address, port, *_ = found.sock.getpeername()
        return f"{address}:{port}"
    return machine(host)
