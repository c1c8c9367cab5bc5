"""Programs that tests start are started by vfork, as Python does without gevent.

gevent forks: the kernel copies the page tables of a process that has all tests in memory, which
costs 10 to 20 times what the program itself does.
"""

from __future__ import annotations

import inspect
import types
from typing import Any

import gevent.os
import gevent.subprocess
from gevent import monkey

Popen: Any = gevent.subprocess.Popen
Plain: Any = monkey.get_original("subprocess", "Popen")
OWN = tuple(inspect.signature(Plain._execute_child).parameters)[1:]
THEIRS = tuple(inspect.signature(Popen._execute_child).parameters)[1:]


def by_vfork() -> None:
    """Have gevent's Popen start its programs so, and do the rest as it does."""
    if set(OWN) <= set(THEIRS):  # else another Python, or gevent: slower
        Popen._execute_child = _execute_child


def _unpatched() -> Any:
    """Return Python's own function that starts a program, with what gevent has replaced of it."""
    function = Plain._execute_child
    names = dict(function.__globals__)
    names["_fork_exec"] = monkey.get_original("subprocess", "_fork_exec")
    names["os"] = types.SimpleNamespace(**vars(names["os"]))
    for name in ("close", "waitpid"):
        setattr(names["os"], name, monkey.get_original("os", name))
    return types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)


_start = _unpatched()


def _execute_child(self: Any, *values: Any) -> None:
    given = dict(zip(THEIRS, values, strict=True))
    if given.get("process_group") is None:
        given["process_group"] = -1

    def started() -> int:
        plain = Plain.__new__(Plain)
        plain.returncode, plain._closed_child_pipe_fds = 0, False  # it waits for nothing
        if hasattr(self, "_devnull"):
            plain._devnull = self._devnull
        try:
            _start(plain, *(given[name] for name in OWN))
        finally:
            self._closed_child_pipe_fds = plain._closed_child_pipe_fds
        return int(plain.pid)

    self._loop.install_sigchld()
    self.pid = gevent.os.fork_and_watch(self._on_child, self._loop, True, started)
    self._child_created = True
