"""The control machine's npm, asked with a limit: a silent network ends as an error."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any

from toolkit.lockfile import LockError

VIEW_SECONDS = 60
ALL_SECONDS = 120
"""How long all questions about one release may take together."""
_until: ContextVar[float] = ContextVar("until", default=math.inf)
differences = getLogger("pyinfra.differences")
_FIX = "check the network and the npm configuration of this machine"
_PATIENCE = ("--fetch-retries=1", "--fetch-timeout=20000", "--fetch-retry-mintimeout=1000")


class ReleaseError(LockError):
    """A release cannot be resolved; `fix` says what the user can do."""

    def __init__(self, what: str, fix: str) -> None:
        self.what, self.fix = what, fix
        super().__init__(f"{what} ({fix})")


@contextmanager
def asked(about: str, seconds: int = ALL_SECONDS) -> Iterator[None]:
    """Say that npm is asked, and bound what it is asked in the body, all together."""
    differences.info(f"asks npm about {about} (at most {seconds} s)")
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def there() -> bool:
    """Return whether this machine has npm."""
    return shutil.which("npm") is not None


def view(package: str, *fields: str) -> Any:
    """Return what `npm view` says, None if there is no such version.

    Raises:
        ReleaseError: npm fails, or does not answer in time.
    """
    done = run("view", package, *fields, "--json", seconds=VIEW_SECONDS)
    if done.returncode and "E404" not in done.stdout + done.stderr:
        raise failed(f"npm view {package}", done)
    if done.returncode or not done.stdout.strip():
        return None
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise ReleaseError(f"npm view {package} does not answer with JSON", _FIX) from None


def run(
    *arguments: str, seconds: int, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run npm and return what it said.

    Raises:
        ReleaseError: it has not ended in time.
    """
    left = min(seconds, max(1, _until.get() - time.monotonic()))
    text = partial(tempfile.TemporaryFile, "w+", encoding="utf-8", errors="replace")
    with text() as stdout, text() as stderr:
        process = subprocess.Popen(
            ["npm", *arguments, *_PATIENCE],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code = process.wait(left)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ReleaseError(
                f"npm {' '.join(arguments[:2])} has not answered within {round(left, 1):g} s", _FIX
            ) from None
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(process.args, code, stdout.read(), stderr.read())


def failed(what: str, done: subprocess.CompletedProcess[str]) -> ReleaseError:
    """Return the error that says why npm failed."""
    lines = [re.sub("^npm (error|ERR!) (code )?", "", line) for line in done.stderr.splitlines()]
    reason = re.sub("://[^/@ ]*@", "://", ": ".join(line for line in lines if line))
    return ReleaseError(f"{what} failed: {reason[:300]}", _FIX)
