"""Errors in words for the user; the tracebacks behind them go to one file, named once at the end.

Nothing else writes a traceback: `take_over` puts itself where Python, gevent, threads and loggers
without a handler (paramiko's) would print theirs.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import sys
import tempfile
import threading
import traceback
from types import TracebackType
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from toolkit import greenlets, pyinfra_internals
from toolkit.greenlets import Hub
from toolkit.terminal import printable

MOST = 1 << 20
"""How many characters of tracebacks are kept: of 500 hosts with one trouble the first ones do."""


class _Kept:
    """What the file will have; `unexpected`: a run that ends well names it, too."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.size = 0
        self.unexpected = False

    def add(self, text: str) -> None:
        if self.size < MOST:
            self.texts.append(printable(text.rstrip("\n")) + "\n")
            self.size += len(text)


_kept = _Kept()


def explain(error: BaseException) -> str:
    """Return one line (or the error's own text) for the user; the traceback of what is unexpected
    is kept for the file.
    """
    error = cause(error)
    if isinstance(error, PyinfraError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"{error.strerror}: {limit} are allowed here; accepted: `ulimit -n 1024` before it"
    _keep(error)
    return f"unexpected {type(error).__name__}: {error}".rstrip(": ")


def cause(error: BaseException) -> BaseException:
    """Return what user code raised, without pyinfra's wrapper."""
    return pyinfra_internals.cause(error)


def written(failed: bool) -> str | None:
    """Write what was kept to a file of the user alone, and return in words where it is.

    None where there is nothing to tell: what paramiko logs of a connection that came about at
    the next try is no trouble unless something has `failed`.
    """
    if not _kept.texts or not (failed or _kept.unexpected):
        return None
    try:
        descriptor, path = tempfile.mkstemp(prefix="claw-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(_kept.texts)
    except OSError as error:
        return f"(no traceback: {tempfile.gettempdir()}: {error.strerror})"
    _kept.texts.clear()
    return f"(traceback in {path})"


def take_over() -> None:
    """Keep the tracebacks that would be printed: of greenlets, threads, finalizers and loggers."""
    greenlets.on_error(_of_a_greenlet)
    threading.excepthook = lambda found: _keep(found.exc_value)
    sys.unraisablehook = lambda found: _keep(found.exc_value)
    logging.lastResort = _Handler()


def _keep(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, SystemExit):
        _kept.unexpected = True
        _kept.add("".join(traceback.format_exception(error)))


def _of_a_greenlet(
    hub: Hub, context: Any, kind: type[BaseException], value: Any, trace: TracebackType | None
) -> None:
    lines = traceback.format_exception(kind, value, trace)
    _kept.add("".join(lines) + f"in {context!r}")


class _Handler(logging.Handler):
    """Takes the records that no handler takes, from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        _kept.add(self.format(record))
