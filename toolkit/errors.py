"""Errors in words for the user."""

from __future__ import annotations

import os
import tempfile
import traceback

from pyinfra.api.exceptions import PyinfraError
from pyinfra_cli.exceptions import UnexpectedExternalError

from toolkit.terminal import printable


def explain(error: BaseException) -> str:
    """Return one line (or the error's own text) for the user; what is unexpected leaves a file."""
    error = cause(error)
    if isinstance(error, PyinfraError):
        return str(error)
    descriptor, path = tempfile.mkstemp(prefix="claw-error-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(printable("".join(traceback.format_exception(error))))
    return f"unexpected {type(error).__name__}: {error}\n(traceback in {path})"


def cause(error: BaseException) -> BaseException:
    """Return what user code raised, without pyinfra's wrapper."""
    return error.exception if isinstance(error, UnexpectedExternalError) else error
