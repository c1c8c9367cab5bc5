"""What of gevent the toolkit knows.

Nothing else imports it but `commandline/__main__.py`, which patches the standard library with it
before anything else happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import (
    Greenlet,
    Timeout,
    getcurrent,
    joinall,
    kill,
    killall,
    signal_handler,
    sleep,
    spawn,
    spawn_later,
    wait,
    with_timeout,
)
from gevent import socket as sockets
from gevent.event import AsyncResult, Event
from gevent.hub import Hub
from gevent.lock import BoundedSemaphore, RLock
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.subprocess import DEVNULL, PIPE, STDOUT, Popen

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AsyncResult",
    "BoundedSemaphore",
    "Event",
    "Greenlet",
    "Hub",
    "Pool",
    "Popen",
    "RLock",
    "StreamServer",
    "Timeout",
    "getcurrent",
    "joinall",
    "kill",
    "killall",
    "on_error",
    "signal_handler",
    "sleep",
    "sockets",
    "spawn",
    "spawn_later",
    "wait",
    "with_timeout",
]


def on_error(function: Callable[..., Any]) -> None:
    """Have `function(hub, context, type, value, traceback)` called for what a greenlet raises.

    Raises:
        AttributeError: gevent has no such place any more.
    """
    Hub.print_exception  # noqa: B018
    setattr(Hub, "print_exception", function)  # noqa: B010
